// SPDX-License-Identifier: Apache-2.0
//
// The ladder (S10; BEHAVIOURS section 1.5; Linux: the two rounds of do_user_addr_fault): a fault
// tries its scheme's rung, and goes down a rung for a reason, at last to mmap_lock, where it ends.
// A reason that the VMA's lock cannot cure goes to mmap_lock at once, and so does a fault that was
// on the VMA's lock already, having upgraded to it: each lower rung is tried once, as in Linux.
// Faults of kernel mode begin at mmap_lock. Included by the schemes' sources alone.
//
// A fault that would have to sleep in a NoWaitScope takes back what it counted on the rungs that it
// left: it will be made again.
//
// The table policy of the mm is the top rung's; below it, faults may sleep and tables are allocated
// as the walk goes. What a rung counts is in core/observe/fault_counters.h (B17).
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/fault/fault_path.h"
#include "core/folio/no_wait_scope.h"
#include "core/observe/fault_events.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How many times the top rung is tried again after it got tables or memory for it.
inline constexpr int kTopRungTries = 4;

/// How one rung was left, as Linux counts it for the VMA's lock (B17).
enum class Leaving : uint8_t {
  kNotTried,  ///< it was passed by
  kAborted,   ///< it was not got onto
  kRetried,   ///< from the hold on
};

/// How one rung ended.
struct RungEnd {
  FaultOutcome outcome;
  LeaveReason reason;                    ///< if the outcome is kRetry
  FaultRung rung;                        ///< the one it was on last: a hold may have been upgraded
  Leaving leaving = Leaving::kNotTried;  ///< if the outcome is kRetry
};

/// Counts a rung that was left; by an amount of -1 takes that back.
inline void CountLeft(FaultStats& stats, const RungEnd& end, int64_t amount = 1) {
  if (end.rung != FaultRung::kVmaLock || end.leaving == Leaving::kNotTried) {
    stats.Left(end.rung, end.reason, amount);
  } else if (end.leaving == Leaving::kAborted) {
    stats.VmaLockAborted(end.reason, amount);
  } else {
    stats.VmaLockRetried(end.reason, amount);
  }
}

/// A fault that ends on the rung without a hold: it counts there, like all that end.
[[nodiscard]] inline RungEnd EndWithoutHold(FaultTarget& target, FaultRung rung,
                                            FaultOutcome outcome) {
  if ((outcome & (fault_bit::kWouldWait | fault_bit::kBelowStack)) == 0) {
    target.stats.Succeeded(rung, FaultKind::kError);
  }
  return {outcome, LeaveReason::kNone, rung};
}

/// The outcome of a fault that left a rung: of what came after.
[[nodiscard]] inline FaultOutcome WentOn(FaultTarget& target, const RungEnd& left,
                                         FaultOutcome outcome) {
  if (outcome == fault_bit::kWouldWait) [[unlikely]]
    CountLeft(target.stats, left, -1);
  return outcome;
}

/// The outcome of a fault that left the last rung: a scope of the caller's forbids to sleep.
[[nodiscard]] inline FaultOutcome NowhereToGo(FaultTarget& target, const RungEnd& last) {
  return NoWaitScope::IsInForce() ? WentOn(target, last, fault_bit::kWouldWait) : fault_bit::kOom;
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
  if (!stock.Prepare(request.addr, levels).ok()) {
    const bool may_sleep = !NoWaitScope::IsInForce();
    return EndWithoutHold(target, first, may_sleep ? fault_bit::kOom : fault_bit::kWouldWait);
  }
  if (!S::Begin(target, request, hold)) {
    if (hold.refusal != 0) {
      // It was killed waiting for the lock, or had the lock and found nothing to handle.
      // A fault that would have to wait is no event, either: its caller takes it back.
      (hold.refusal & fault_bit::kKilled) != 0 ? event.Left(first, LeaveReason::kKilled)
                                               : event.Entered(first);
      return EndWithoutHold(target, first, hold.refusal);
    }
    const RungEnd end{fault_bit::kRetry, hold.reason, first, Leaving::kAborted};
    CountLeft(target.stats, end);
    event.Left(first, hold.reason);
    return end;
  }
  event.Entered(first);
  const FaultOutcome outcome = HandleFault<S>(target, hold, request, stock);
  const FaultRung rung = hold.rung;
  const LeaveReason reason = hold.reason;
  const FaultKind kind = hold.kind;
  if (rung != first) {
    event.Left(first, hold.upgraded_for);
    event.Entered(rung);
  }
  S::End(target, hold);
  const RungEnd end{outcome, reason, rung, Leaving::kRetried};
  if ((outcome & fault_bit::kRetry) != 0) {
    CountLeft(target.stats, end);
    event.Left(rung, reason);
  } else {
    target.stats.Succeeded(rung, KindOf(outcome, kind));
  }
  return end;
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
  if ((end.outcome & fault_bit::kRetry) == 0) return end.outcome;
  if constexpr (kIsLastRung<S>) {
    return NowhereToGo(target, end);
  } else {
    return WentOn(target, end, ClimbDown<typename S::Fallback>(target, request, end, event));
  }
}

/// The scheme's own rung, and those below it.
template <FaultScheme S>
FaultOutcome Climb(FaultTarget& target, const FaultRequest& request, FaultEventScope& event) {
  const TableAlloc policy = target.options.pgtable_alloc;
  if constexpr (kIsLastRung<S>) {
    const RungEnd end = TryRung<S>(target, request, policy, event);
    if ((end.outcome & fault_bit::kRetry) == 0) return end.outcome;
    // Once more, without a task flag.
    const RungEnd again = TryRung<S>(target, request, TableAlloc::kEager, event);
    const bool ended = (again.outcome & fault_bit::kRetry) == 0;
    return WentOn(target, end, ended ? again.outcome : NowhereToGo(target, again));
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
    return WentOn(target, end, ClimbDown<typename S::Fallback>(target, request, end, event));
  }
}

/// One fault: the function of a scheme.
template <FaultScheme S>
FaultOutcome Fault(FaultTarget& target, const FaultRequest& request, FaultEventScope& event) {
  return Climb<S>(target, request, event);
}

}  // namespace faultline
