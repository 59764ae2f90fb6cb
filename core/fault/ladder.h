// SPDX-License-Identifier: Apache-2.0
//
// The ladder (S10; BEHAVIOURS section 1.5; Linux: the two rounds of do_user_addr_fault): a fault
// tries its scheme's rung, and goes down a rung for a reason, at last to mmap_lock, where it ends.
// A reason that the VMA's lock cannot cure goes to mmap_lock at once, and so does a fault that was
// on the VMA's lock already, having upgraded to it: each lower rung is tried once, as in Linux.
// Faults of kernel mode begin at mmap_lock. Included by the schemes' sources alone.
//
// The table policy of the mm is the top rung's; below it, faults may sleep and tables are allocated
// as the walk goes. What a rung counts is in core/observe/fault_counters.h (B17).
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/fault/fault_path.h"
#include "core/observe/fault_events.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How many times the top rung is tried again after it got tables or memory for it.
inline constexpr int kTopRungTries = 4;

/// How one rung ended.
struct RungEnd {
  FaultOutcome outcome;
  LeaveReason reason;  ///< if the outcome is kRetry
  FaultRung rung;      ///< the one it was on last: a hold may have been upgraded
};

/// Counts a rung that was not got onto, or left (B17).
inline void CountAborted(FaultStats& stats, FaultRung rung, LeaveReason reason) {
  rung == FaultRung::kVmaLock ? stats.VmaLockAborted(reason) : stats.Left(rung, reason);
}
inline void CountRetried(FaultStats& stats, FaultRung rung, LeaveReason reason) {
  rung == FaultRung::kVmaLock ? stats.VmaLockRetried(reason) : stats.Left(rung, reason);
}

/// A fault that ends on the rung without a hold: it counts there, like all.
[[nodiscard]] inline RungEnd EndWithoutHold(FaultTarget& target, FaultRung rung,
                                            FaultOutcome outcome) {
  target.stats.Succeeded(rung);
  return {outcome, LeaveReason::kNone, rung};
}

/// One try on one rung: Begin to End.
template <FaultScheme S>
RungEnd TryRung(FaultTarget& target, const FaultRequest& request, TableAlloc policy,
                FaultEventScope& event) {
  std::optional<AllocScope> task_flag;
  if (policy == TableAlloc::kTaskFlag) task_flag.emplace(AllocScope::kNowait);
  TableStock stock(target, policy);
  typename S::Hold hold;
  const FaultRung first = hold.rung;
  const bool pte_only = RefusesToWire<S>(target, TableLevel::kPmd);
  const auto levels = pte_only ? TableStock::Levels::kPteOnly : TableStock::Levels::kAll;
  if (!stock.Prepare(request.addr, levels).ok())
    return EndWithoutHold(target, first, fault_bit::kOom);
  if (!S::Begin(target, request, hold)) {
    if (hold.refusal != 0) {
      // It was killed waiting for the lock, or had the lock and found nothing to handle.
      (hold.refusal & fault_bit::kKilled) != 0 ? event.Left(first, LeaveReason::kKilled)
                                               : event.Entered(first);
      return EndWithoutHold(target, first, hold.refusal);
    }
    CountAborted(target.stats, first, hold.reason);
    event.Left(first, hold.reason);
    return {fault_bit::kRetry, hold.reason, first};
  }
  event.Entered(first);
  const FaultOutcome outcome = HandleFault<S>(target, hold, request, stock);
  const FaultRung rung = hold.rung;
  const LeaveReason reason = hold.reason;
  if (rung != first) {
    event.Left(first, hold.upgraded_for);
    event.Entered(rung);
  }
  S::End(target, hold);
  if ((outcome & fault_bit::kRetry) != 0) {
    CountRetried(target.stats, rung, reason);
    event.Left(rung, reason);
  } else {
    target.stats.Succeeded(rung);
  }
  return {outcome, reason, rung};
}

/// Whether holding the VMA's own lock would have helped.
[[nodiscard]] inline bool IsCuredByVmaLock(LeaveReason reason) {
  switch (reason) {
    case LeaveReason::kKernelMode:
    case LeaveReason::kNoVma:
    case LeaveReason::kWriteLocked:
    case LeaveReason::kKilled:
      return false;
    default:
      return true;
  }
}

/// Whether the policy makes something of a second try of the same rung: does what it does in
/// between. No lock is held; may sleep.
[[nodiscard]] bool PrepareRetry(FaultTarget& target, LeaveReason reason);

/// Where a scheme's faults begin.
template <FaultScheme S>
[[nodiscard]] FaultRung FirstRungOf() {
  return typename S::Hold().rung;
}

/// A lower rung, and those below it. `above` is how the one above was left.
template <class S>
FaultOutcome ClimbDown(FaultTarget& target, const FaultRequest& request, const RungEnd& above,
                       FaultEventScope& event) {
  if constexpr (!kIsLastRung<S>) {
    if (!IsCuredByVmaLock(above.reason) || above.rung == FirstRungOf<S>()) {
      return ClimbDown<typename S::Fallback>(target, request, above, event);
    }
  }
  const RungEnd end = TryRung<S>(target, request, TableAlloc::kEager, event);
  if constexpr (!kIsLastRung<S>) {
    if ((end.outcome & fault_bit::kRetry) != 0) {
      return ClimbDown<typename S::Fallback>(target, request, end, event);
    }
  }
  return end.outcome;
}

/// The scheme's own rung, and those below it.
template <FaultScheme S>
FaultOutcome Climb(FaultTarget& target, const FaultRequest& request, FaultEventScope& event) {
  const TableAlloc policy = target.options.pgtable_alloc;
  if constexpr (kIsLastRung<S>) {
    const RungEnd end = TryRung<S>(target, request, policy, event);
    if ((end.outcome & fault_bit::kRetry) == 0) return end.outcome;
    return TryRung<S>(target, request, TableAlloc::kEager, event).outcome;  // without a task flag
  } else {
    RungEnd end{fault_bit::kRetry, LeaveReason::kKernelMode, FirstRungOf<S>()};
    if (request.mode == FaultMode::kUser) {
      for (int tries = 0;; ++tries) {
        end = TryRung<S>(target, request, policy, event);
        if ((end.outcome & fault_bit::kRetry) == 0) return end.outcome;
        if (tries == kTopRungTries || !PrepareRetry(target, end.reason)) break;
      }
    } else {
      target.stats.Left(end.rung, end.reason);
      event.Left(end.rung, end.reason);
    }
    return ClimbDown<typename S::Fallback>(target, request, end, event);
  }
}

/// One fault: the function of a scheme.
template <FaultScheme S>
FaultOutcome Fault(FaultTarget& target, const FaultRequest& request, FaultEventScope& event) {
  const FaultOutcome outcome = Climb<S>(target, request, event);
  // The last rung has nowhere to go if a scope of the caller's forbids to sleep.
  return (outcome & fault_bit::kRetry) != 0 ? fault_bit::kOom : outcome;
}

}  // namespace faultline
