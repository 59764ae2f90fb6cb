// SPDX-License-Identifier: Apache-2.0
//
// RunOperation: one operation of attach.proto carried out on an mm of the core, whoever asks: a
// stream's batch (batch_run.h) or a thread of a workload in the server (lab_thread.h). Both have
// the same results for the same operation, since there is no other way from a kind to the core.
//
// What is more than a call on one mm is its caller's: forks and exits, which are about mms as the
// server has them, waits, and what an operation names by a number, which comes here resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/base/types.h"
#include "core/fault/fault.h"
#include "core/mm/mm.h"
#include "faultline/v1/attach.pb.h"
#include "proto/columns/outcome.h"

namespace faultline::server {

/// One operation with everything that it names.
struct ReadyOperation {
  v1::OperationKind kind = v1::OPERATION_KIND_UNSPECIFIED;
  VirtAddr address{0};  ///< what it is relative to has been added
  uint64_t length = 0;
  std::span<const uint64_t> arguments;  ///< at least as many as its kind takes
  Mapping* file = nullptr;              ///< MMAP: what the descriptor refers to; null: nothing
};

/// How an operation ended.
struct OperationEnd {
  // NOLINTNEXTLINE(readability-redundant-member-init): GCC wants it to be left out at will
  columns::Outcome outcome = {};
  uint64_t value = 0;       ///< if its kind gives one and it went well
  bool would_wait = false;  ///< it did not: it was not carried out (AccessEnd::kWouldWait)
};

/// What that kind asks of Mm::Fault, but for the address; nothing if it is another access or none.
[[nodiscard]] std::optional<FaultRequest> FaultOf(v1::OperationKind kind);

/// As the columns have it.
[[nodiscard]] columns::Outcome OutcomeOf(const AccessOutcome& access);

/// Carries out an access, or a system call that is neither FORK nor EXIT. By a user of the mm, as
/// the calling task; may sleep, unless that is in a NoWaitScope, where only accesses are allowed.
[[nodiscard]] OperationEnd RunOperation(Mm& mm, const ReadyOperation& operation);

}  // namespace faultline::server
