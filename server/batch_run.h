// SPDX-License-Identifier: Apache-2.0
//
// BatchRun: one batch on its way: which operation is next, what was written so far. It can stop
// where an operation would have to wait and go on later on another thread of the host, always as
// the same simulated thread (attach.proto says what each kind does). The caller has checked the
// batch (columns::WhyBad).
//
// A batch of faults of one kind, which is what locks are measured with, is a loop over addresses
// and the core's Fault, and writes nothing where all goes well. Everything else goes operation by
// operation, through RunOperation where it is about the mm alone (operation_run.h). What a batch
// asked for beside, latencies and rungs, costs only those that asked.
#pragma once

#include <cstdint>
#include <optional>

#include "core/mm/mm.h"
#include "core/observe/fault_events.h"
#include "faultline/v1/attach.pb.h"
#include "proto/columns/batch_reader.h"
#include "proto/columns/results_writer.h"
#include "server/operation_run.h"
#include "server/simulated_thread.h"
#include "server/unary.h"

namespace faultline::server {

class BatchRun {
 public:
  /// Begins with the first operation. All outlive it; `results` is filled in.
  BatchRun(SimulatedThread& thread, const v1::OperationBatch& batch, v1::OperationResults& results);
  BatchRun(const BatchRun&) = delete;
  BatchRun& operator=(const BatchRun&) = delete;

  /// Carries on as the calling task, which is the thread's. True: the batch has ended and `results`
  /// is complete. With kNoWait it may be false: the next operation has to be done with kMayWait.
  [[nodiscard]] bool Continue(Patience patience);

 private:
  enum class Stop : uint8_t { kEnded, kWouldWait };

  [[nodiscard]] Stop RunFaults(FaultRequest request);
  [[nodiscard]] Stop RunAny(Patience patience);
  [[nodiscard]] Stop RunOne(Patience patience);
  [[nodiscard]] ReadyOperation Take();
  /// Counts the operation as done, and says whether the batch ends with it.
  [[nodiscard]] bool EndsAfter(bool failed);

  [[nodiscard]] OperationEnd CarryOut(const ReadyOperation& operation, Patience patience);
  [[nodiscard]] OperationEnd Mmap(ReadyOperation operation);
  [[nodiscard]] OperationEnd Fork();
  [[nodiscard]] OperationEnd WaitFor(const ReadyOperation& operation);

  SimulatedThread& thread_;
  const v1::OperationBatch& batch_;
  v1::OperationResults& results_;
  columns::BatchReader reader_;
  columns::ResultsWriter writer_;
  /// For explanations of single operations, if the thread records none of its own.
  std::optional<FaultEventRing> events_;
  const uint64_t begin_ns_;
  uint32_t next_ = 0;  ///< operations before it have been carried out or skipped
  v1::BatchEnd end_ = v1::BATCH_END_UNSPECIFIED;
  std::optional<ReadyOperation>
      taken_;  ///< the next one, if it was begun and would have had to wait
};

}  // namespace faultline::server
