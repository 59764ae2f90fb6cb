// SPDX-License-Identifier: Apache-2.0
//
// NoWaitScope: what the calling task does in it must not sleep (Linux: FAULT_FLAG_NOWAIT and
// FOLL_NOWAIT, which a KVM host uses before it lets a worker do the same fault asleep). For threads
// that serve many others, such as those of a transport.
//
//   const NoWaitScope scope;
//   const AccessOutcome outcome = mm.Fault(request);  // AccessEnd::kWouldWait: elsewhere, please
//
// In the scope each killable wait gives up instead of spinning or queueing, and allocations neither
// sleep nor reclaim. A fault that cannot go on then ends as "would have to wait": what it counted
// on its way is taken back, page tables that it put in stay, and it can simply be made again, by
// another task and without a scope. A lock held for a moment by another may be enough for that.
// Meant for faults and accesses (Mm::Fault, Read, Write, Touch): system calls answer EINTR, and may
// sleep behind their first side effect, which checked builds report.
#pragma once

#include "core/base/build.h"
#include "core/folio/alloc_scope.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Belongs to the task that made it and to one scope of the program. Scopes nest.
class [[nodiscard]] NoWaitScope {
 public:
  NoWaitScope() : task_(CurrentTask()), allocations_(AllocScope::kNowait) { ++task_.no_wait; }
  ~NoWaitScope() { --task_.no_wait; }
  NoWaitScope(const NoWaitScope&) = delete;
  NoWaitScope& operator=(const NoWaitScope&) = delete;

  /// Whether the calling task is in one.
  [[nodiscard]] static bool IsInForce() { return CurrentTask().no_wait != 0; }

 private:
  Task& task_;
  AllocScope allocations_;
};

}  // namespace faultline
