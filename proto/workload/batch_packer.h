// SPDX-License-Identifier: Apache-2.0
//
// Packs a script's operations in batches for an attached thread: for clients, and for benches that
// measure the service.
//
// What an operation is relative to becomes a base where it is in the same batch, and a number where
// its result has come back. Only in between is there something to wait for, and Pack says so. The
// number of a fork's result is no address: what a child does is for a host that can be one.
//
//   packer.Begin(batch_id);
//   switch (packer.Pack(script, limit)) ...     // send batch(), and when its results are there:
//   packer.Learn(results);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "faultline/v1/attach.pb.h"
#include "proto/columns/batch_builder.h"
#include "proto/columns/results_reader.h"
#include "proto/workload/operation.h"
#include "proto/workload/script.h"

namespace faultline::workload {

/// Why a batch ends.
enum class PackEnd : uint8_t {
  kFull,   ///< it has as many operations as it may; more are to come
  kRound,  ///< the script's part is over
  kHost,   ///< what comes next is nothing for a batch: host_operation()
  kValue,  ///< what comes next needs a result that has not come back: Learn
};

class BatchPacker {
 public:
  /// Packs into `batch`, which outlives it.
  explicit BatchPacker(v1::OperationBatch& batch) : builder_(batch) {}

  /// Begins a batch; what did not fit into the one before comes first.
  void Begin(uint64_t batch_id);
  /// Appends operations of `script` until there are `limit` of them or something else ends the
  /// batch. It may be empty then. May be called again for the same batch after kRound.
  PackEnd Pack(Script& script, uint32_t limit);
  /// After kHost: what the host has to do. It is not handed out again.
  [[nodiscard]] const Operation& host_operation() const { return operation_; }
  /// The results of a batch, in the order in which batches were packed.
  void Learn(const columns::ResultsReader& results, uint64_t batch_id);

  [[nodiscard]] v1::OperationBatch& batch() { return builder_.batch(); }

 private:
  /// Where a slot's value is.
  struct Value {
    enum class State : uint8_t {
      kUnknown,  ///< it failed, or there never was one
      kNumber,
      kInBatch,  ///< the result of operation `operation` of batch `batch_id`
    };
    State state = State::kUnknown;
    uint64_t number = 0;
    uint64_t batch_id = 0;
    uint32_t operation = 0;
  };

  /// Whether the operation at hand was appended, or dropped since what it is relative to failed.
  enum class Appended : uint8_t { kYes, kDropped, kNeedsValue };
  Appended Append(Script& script);

  columns::BatchBuilder builder_;
  std::array<Value, 3> values_;
  Operation operation_;
  /// operation_ is still to be packed.
  bool pending_ = false;
};

}  // namespace faultline::workload
