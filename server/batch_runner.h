// SPDX-License-Identifier: Apache-2.0
//
// BatchRunner: carries out the operations of a batch, in order, as a simulated thread (attach.proto
// says what each kind does). The caller has checked the batch (columns::WhyBad).
//
// A batch of faults of one kind, which is what locks are measured with, is a loop over addresses
// and the core's Fault, and writes nothing where all goes well. Everything else goes through one
// switch. What a batch asked for beside, latencies and rungs, costs only those that asked.
#pragma once

#include <cstdint>

#include "core/folio/no_wait_scope.h"
#include "core/mm/mm.h"
#include "core/observe/fault_events.h"
#include "faultline/v1/attach.pb.h"
#include "proto/columns/batch_reader.h"
#include "proto/columns/results_writer.h"
#include "server/simulated_thread.h"

namespace faultline::server {

class BatchRunner {
 public:
  /// `thread` outlives it and is the calling task.
  explicit BatchRunner(SimulatedThread& thread) : thread_(thread) {}

  /// Carries out `batch` and fills in `results`.
  void Run(const v1::OperationBatch& batch, v1::OperationResults& results);

 private:
  /// One operation, ready to be carried out.
  struct Operation {
    v1::OperationKind kind;
    VirtAddr address;
    uint64_t length;
    std::span<const uint64_t> arguments;
  };
  /// How it ended.
  struct End {
    columns::Outcome outcome = {};
    uint64_t value = 0;
  };

  void RunFaults(const columns::BatchReader& reader, const v1::OperationBatch& batch,
                 columns::ResultsWriter& writer);
  void RunAny(columns::BatchReader reader, const v1::OperationBatch& batch,
              columns::ResultsWriter& writer);
  void RunOne(columns::BatchReader& reader, uint32_t i, const v1::OperationBatch& batch,
              columns::ResultsWriter& writer);
  /// What ends a batch after operation `i`; UNSPECIFIED: nothing.
  [[nodiscard]] v1::BatchEnd Ends(bool failed, const v1::OperationBatch& batch) const;

  [[nodiscard]] End CarryOut(const Operation& operation);
  [[nodiscard]] End Access(const Operation& operation);
  [[nodiscard]] End TouchRange(const Operation& operation, AccessKind access);
  [[nodiscard]] End SystemCall(const Operation& operation);
  [[nodiscard]] End Mmap(const Operation& operation);
  [[nodiscard]] End Fork();
  [[nodiscard]] End WaitFor(const Operation& operation);

  SimulatedThread& thread_;
};

}  // namespace faultline::server
