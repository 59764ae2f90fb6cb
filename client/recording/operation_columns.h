// SPDX-License-Identifier: Apache-2.0
//
// A chunk of operations as columns: all kinds, then all threads, then all times and so on, since
// like numbers side by side are short and deflate well.
//
// Numbers are differences from the last operation of the same thread in the chunk: times from its
// end, addresses from its address, further arguments and results from its last one of the same
// kind. A chunk depends on no other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

#include "client/recording/bytes.h"
#include "client/recording/recording.h"

namespace faultline::client {

/// What differences are made from.
class ColumnState {
 public:
  struct OfThread {
    uint64_t end_ns = 0;
    uint64_t address = 0;
  };
  struct OfKind {
    std::array<uint64_t, kMaxArguments> args{};
    uint64_t result = 0;
  };
  OfThread& thread(uint32_t thread) { return threads_[thread]; }
  OfKind& kind(uint32_t thread, OpKind kind) {
    return kinds_[(static_cast<uint64_t>(thread) << 8) | static_cast<uint64_t>(kind)];
  }
  uint32_t last_thread = 0;
  uint32_t last_image = 0;

 private:
  absl::flat_hash_map<uint32_t, OfThread> threads_;
  absl::flat_hash_map<uint64_t, OfKind> kinds_;
};

/// The columns, in the order in which they stand in a chunk.
enum class Column : uint8_t {
  kKind,
  kThread,
  kImage,
  kTime,
  kDuration,
  kEffect,
  kAddress,
  kArguments,
  kFile,
  kResult,
  kLocks,
};
inline constexpr std::size_t kColumns = 11;

class OperationEncoder {
 public:
  void Add(const Operation& op);
  [[nodiscard]] std::size_t operations() const { return operations_; }
  /// The content of the chunk; empties the encoder.
  [[nodiscard]] std::string Take();

 private:
  ByteWriter& To(Column column) { return columns_[static_cast<std::size_t>(column)]; }

  std::array<ByteWriter, kColumns> columns_;
  ColumnState state_;
  std::size_t operations_ = 0;
};

/// Appends the operations of a chunk's content to `operations`. An error says which column of it
/// cannot be right; the indices in them are not looked at.
[[nodiscard]] absl::Status DecodeOperations(std::string_view content,
                                            std::vector<Operation>& operations);

}  // namespace faultline::client
