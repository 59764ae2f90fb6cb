// SPDX-License-Identifier: Apache-2.0
//
// Writes what became of a batch, operation by operation, into the columns of an OperationResults
// that is used again and again.
//
// A column stays empty while everything in it would be 0, and gets its full length, zeros included,
// with the first thing that is not. So a batch of faults that all went well writes nothing at all,
// and its result is a few bytes. Memory is kept between batches: a message that has once been full
// is never allocated for again.
//
// Invariant: after End each column is empty or has `completed` elements.
#pragma once

#include <cstddef>
#include <cstdint>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/outcome.h"

namespace faultline::columns {

class ResultsWriter {
 public:
  /// Writes into `results`, which outlives it. Begin comes before anything else.
  explicit ResultsWriter(v1::OperationResults& results) : results_(results) {}
  ResultsWriter(const ResultsWriter&) = delete;
  ResultsWriter& operator=(const ResultsWriter&) = delete;

  /// Forgets what was written before. Of `batch` its mark and its size are taken.
  void Begin(const v1::OperationBatch& batch);

  /// Of operation `i`, from 0, below the batch's size. What is not set is 0.
  void SetOutcome(std::uint32_t i, Outcome outcome) {
    if (outcome.packed() != 0)
      outcomes_.Set(*results_.mutable_outcomes(), operations_, i, outcome.packed());
  }
  void SetValue(std::uint32_t i, std::uint64_t value) {
    if (value != 0) values_.Set(*results_.mutable_values(), operations_, i, value);
  }
  void SetLatency(std::uint32_t i, std::uint64_t nanoseconds) {
    if (nanoseconds != 0) {
      latencies_.Set(*results_.mutable_latencies_ns(), operations_, i, nanoseconds);
    }
  }
  void SetRungs(std::uint32_t i, Rungs rungs) {
    if (rungs.any()) rungs_.Set(*results_.mutable_rungs(), operations_, i, rungs.packed());
  }

  /// What was set, for operations that are relative to this one.
  [[nodiscard]] Outcome outcome(std::uint32_t i) const { return Outcome(outcomes_.Get(i)); }
  [[nodiscard]] std::uint64_t value(std::uint32_t i) const { return values_.Get(i); }

  /// `completed` operations were carried out or skipped, and that is why not all. Columns are cut
  /// to that length.
  void End(std::uint32_t completed, v1::BatchEnd end);

 private:
  /// A column's elements, once it has any.
  template <class T>
  struct Column {
    T* data = nullptr;

    void Set(google::protobuf::RepeatedField<T>& field, std::uint32_t operations, std::uint32_t i,
             T value) {
      if (data == nullptr) {
        field.Resize(static_cast<int>(operations), T{});
        data = field.mutable_data();
      }
      data[i] = value;
    }
    [[nodiscard]] T Get(std::uint32_t i) const { return data == nullptr ? T{} : data[i]; }
  };

  v1::OperationResults& results_;
  std::uint32_t operations_ = 0;
  Column<std::uint32_t> outcomes_;
  Column<std::uint64_t> values_;
  Column<std::uint64_t> latencies_;
  Column<std::uint64_t> rungs_;
};

}  // namespace faultline::columns
