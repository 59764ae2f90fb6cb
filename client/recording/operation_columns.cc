// SPDX-License-Identifier: Apache-2.0
//
// Encoding and decoding of a chunk of operations: two functions that go through an operation's
// fields in the same order, Add and Decoder::Next.
//
// Invariant: what Next reads is what Add wrote, for any operation whose arguments beyond those of
// its kind are 0; and Next of any bytes whatever ends, without more memory than they have
// operations.
#include "client/recording/operation_columns.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/bytes.h"
#include "client/recording/concat.h"
#include "client/recording/format.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

constexpr std::array<std::string_view, kColumns> kColumnNames = {
    "kinds",     "threads",   "images", "times",   "durations", "effects",
    "addresses", "arguments", "files",  "results", "locks"};

/// How an operation ended, in one number: 0 for success with the same result as last time.
enum Outcome : uint64_t { kSameResult = 0, kResult = 1, kNotSeen = 2, kFirstError = 3 };

/// Most have none or one of a sort; the low bits say so, and 15 that all three follow.
enum Locks : uint64_t { kNoLock = 0, kOneRead = 1, kOneWrite = 2, kOneOfEach = 3, kCounts = 4 };

class Decoder {
 public:
  explicit Decoder(const std::array<std::string_view, kColumns>& columns)
      : columns_{ByteReader(columns[0]), ByteReader(columns[1]), ByteReader(columns[2]),
                 ByteReader(columns[3]), ByteReader(columns[4]), ByteReader(columns[5]),
                 ByteReader(columns[6]), ByteReader(columns[7]), ByteReader(columns[8]),
                 ByteReader(columns[9]), ByteReader(columns[10])} {}

  Operation Next() {
    Operation op;
    op.kind = static_cast<OpKind>(From(Column::kKind).NumberUpTo(UINT8_MAX));
    if (NameOf(op.kind).empty()) From(Column::kKind).Fail();
    op.thread = static_cast<uint32_t>(From(Column::kThread).Difference(state_.last_thread));
    op.image = static_cast<uint32_t>(From(Column::kImage).Difference(state_.last_image));
    state_.last_thread = op.thread;
    state_.last_image = op.image;
    ColumnState::OfThread& thread = state_.thread(op.thread);
    op.time_ns = From(Column::kTime).Difference(thread.end_ns);
    op.duration_ns = From(Column::kDuration).Number();
    op.effect_ns = From(Column::kEffect).Number();
    thread.end_ns = op.time_ns + op.duration_ns;
    Arguments(op, thread);
    const uint64_t file = From(Column::kFile).NumberUpTo(kNoIndex);
    op.file = file == 0 ? kNoIndex : static_cast<uint32_t>(file - 1);
    Result(op);
    ReadLocks(op.locks);
    return op;
  }

  /// The first column that is at fault, or kColumns.
  [[nodiscard]] std::size_t Broken() const {
    const auto broken = [](const ByteReader& column) { return !column.ok(); };
    return static_cast<std::size_t>(std::ranges::find_if(columns_, broken) - columns_.begin());
  }
  [[nodiscard]] std::size_t Unread() const {
    const auto unread = [](const ByteReader& column) { return column.left() != 0; };
    return static_cast<std::size_t>(std::ranges::find_if(columns_, unread) - columns_.begin());
  }

 private:
  ByteReader& From(Column column) { return columns_[static_cast<std::size_t>(column)]; }

  void Arguments(Operation& op, ColumnState::OfThread& thread) {
    const std::size_t count = ArgumentsOf(op.kind);
    if (count == 0) return;
    ColumnState::OfKind& last = state_.kind(op.thread, op.kind);
    op.args[0] = From(Column::kAddress).Difference(thread.address);
    thread.address = op.args[0];
    for (std::size_t i = 1; i < count; ++i) {
      op.args[i] = From(Column::kArguments).Difference(last.args[i]);
    }
    last.args = op.args;
  }

  void Result(Operation& op) {
    ColumnState::OfKind& last = state_.kind(op.thread, op.kind);
    const uint64_t outcome = From(Column::kResult).NumberUpTo(kFirstError + UINT32_MAX);
    if (outcome == kNotSeen) op.ended = Ended::kUnknown;
    if (outcome >= kFirstError) op.error = static_cast<uint32_t>(outcome - kFirstError);
    if (outcome == kResult) last.result = From(Column::kResult).Difference(last.result);
    if (outcome <= kResult) op.result = last.result;
  }

  void ReadLocks(Acquisitions& locks) {
    ByteReader& from = From(Column::kLocks);
    const uint64_t form = from.NumberUpTo(kCounts);
    if (form == kCounts) {
      locks.reads = from.Number32();
      locks.writes = from.Number32();
      locks.failed = from.Number32();
    } else {
      locks.reads = static_cast<uint32_t>(form & 1);
      locks.writes = static_cast<uint32_t>(form >> 1);
    }
  }

  std::array<ByteReader, kColumns> columns_;
  ColumnState state_;
};

void WriteLocks(const Acquisitions& locks, ByteWriter& to) {
  if (locks.reads <= 1 && locks.writes <= 1 && locks.failed == 0) {
    return to.Number(locks.reads + 2 * locks.writes);
  }
  to.Number(kCounts);
  to.Number(locks.reads);
  to.Number(locks.writes);
  to.Number(locks.failed);
}

}  // namespace

void OperationEncoder::Add(const Operation& op) {
  To(Column::kKind).Number(static_cast<uint64_t>(op.kind));
  To(Column::kThread).Difference(op.thread, state_.last_thread);
  To(Column::kImage).Difference(op.image, state_.last_image);
  state_.last_thread = op.thread;
  state_.last_image = op.image;
  ColumnState::OfThread& thread = state_.thread(op.thread);
  ColumnState::OfKind& last = state_.kind(op.thread, op.kind);
  To(Column::kTime).Difference(op.time_ns, thread.end_ns);
  To(Column::kDuration).Number(op.duration_ns);
  To(Column::kEffect).Number(op.effect_ns);
  thread.end_ns = op.time_ns + op.duration_ns;
  const std::size_t count = ArgumentsOf(op.kind);
  if (count != 0) {
    To(Column::kAddress).Difference(op.args[0], thread.address);
    thread.address = op.args[0];
    for (std::size_t i = 1; i < count; ++i) {
      To(Column::kArguments).Difference(op.args[i], last.args[i]);
    }
    last.args = op.args;
  }
  To(Column::kFile).Number(op.file == kNoIndex ? 0 : uint64_t{op.file} + 1);
  ByteWriter& result = To(Column::kResult);
  if (op.ended == Ended::kUnknown) {
    result.Number(kNotSeen);
  } else if (op.error != 0) {
    result.Number(kFirstError + op.error);
  } else if (op.result == last.result) {
    result.Number(kSameResult);
  } else {
    result.Number(kResult);
    result.Difference(op.result, last.result);
    last.result = op.result;
  }
  WriteLocks(op.locks, To(Column::kLocks));
  ++operations_;
}

std::string OperationEncoder::Take() {
  ByteWriter content;
  content.Number(operations_);
  for (ByteWriter& column : columns_) {
    content.String(column.bytes());
    column.Clear();
  }
  state_ = {};
  operations_ = 0;
  return content.bytes();
}

absl::Status DecodeOperations(std::string_view content, std::vector<Operation>& operations) {
  ByteReader reader(content);
  const uint64_t count = reader.NumberUpTo(kChunkOperations);
  std::array<std::string_view, kColumns> columns;
  for (std::string_view& column : columns) column = reader.String();
  if (!reader.ok()) return absl::DataLossError("its columns are longer than it");
  if (reader.left() != 0) return absl::DataLossError("bytes follow its columns");
  Decoder decoder(columns);
  for (uint64_t i = 0; i < count; ++i) {
    operations.push_back(decoder.Next());
    if (const std::size_t column = decoder.Broken(); column < kColumns) {
      return absl::DataLossError(
          Concat("operation ", i, ": its column of ", kColumnNames[column], " is bad"));
    }
  }
  if (const std::size_t column = decoder.Unread(); column < kColumns) {
    return absl::DataLossError(Concat("its column of ", kColumnNames[column], " is too long"));
  }
  return absl::OkStatus();
}

}  // namespace faultline::client
