// SPDX-License-Identifier: Apache-2.0
//
// The building blocks of the fault path that depend on the scheme: how a fault gets what may take
// sleeping, how it walks and puts tables in, and how it commits (Linux: __handle_mm_fault's
// allocations, pte_offset_map_lock and what follows). Internal to core/fault.
//
// Commit and WireTable are the only places where a fault writes to page tables. Each asks
// StillValid under the lock of the table that it writes, right before the write; nothing else in
// the path has to be right about the VMA at that moment.
#pragma once

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/table_stock.h"
#include "core/folio/alloc_scope.h"
#include "core/folio/no_wait_scope.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

// -- Commit ---------------------------------------------------------------------------------------

/// Runs commit(LockedPte&) -> FaultOutcome with the entry's table locked, if the hold is good.
/// `if_gone` is the outcome if there is no PTE table any more: the access is repeated.
template <FaultScheme S, class Do>
FaultOutcome Commit(FaultTarget& target, typename S::Hold& hold, const WalkState& walk,
                    FaultOutcome if_gone, const Do& commit) {
  LockedPte pte(target.tables, walk.pmd, walk.page);
  if (!pte) return if_gone;
  if (!S::StillValid(target, hold)) return Leave(hold, LeaveReason::kChanged);
  return commit(pte);
}

// -- What may take sleeping -----------------------------------------------------------------------

/// mmap_lock held for read, if it was to be had without waiting: what a VMA's reader may do (B4).
class [[nodiscard]] TriedMmapLock {
 public:
  explicit TriedMmapLock(RwSem<LockRank::kMmapLock>& lock)
      ABSL_NO_THREAD_SAFETY_ANALYSIS  // conditional, for this object's life; scenarios of mutant
                                      // M14
      : lock_(lock) {
    if (MutantOn(Mutant::kM14)) lock.LockShared();
    held_ = MutantOn(Mutant::kM14) || lock.TryLockShared();
  }
  ~TriedMmapLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (held_) lock_.UnlockShared();
  }
  TriedMmapLock(const TriedMmapLock&) = delete;
  TriedMmapLock& operator=(const TriedMmapLock&) = delete;
  [[nodiscard]] bool held() const { return held_; }

 private:
  RwSem<LockRank::kMmapLock>& lock_;
  bool held_ = false;
};

/// Whether the task is told not to sleep whatever it holds (A6): a rung further down is not.
[[nodiscard]] inline bool IsToldNotToSleep() {
  return (AllocScope::Limits() & AllocScope::kNowait) != 0;
}

/// What an allocation that could sleep, but for a scope of the task, ends with.
[[nodiscard]] inline FaultOutcome OutOfMemory(FaultHold& hold, LeaveReason why) {
  return IsToldNotToSleep() ? Leave(hold, why) : fault_bit::kOom;
}

/// Makes the hold one that lasts over sleeping, if it is not and the scheme can. Once only: each
/// upgrade takes a count, and End drops one.
template <FaultScheme S>
bool TryUpgrade([[maybe_unused]] FaultTarget& target, [[maybe_unused]] typename S::Hold& hold,
                [[maybe_unused]] LeaveReason why) {
  if constexpr (UpgradingScheme<S>) {
    return !IsToldNotToSleep() && (S::MaySleep(hold) || S::Upgrade(target, hold, why));
  }
  return false;
}

/// Gets something by obtain(Gfp) -> Result, sleeping as the scheme may: in its hold, outside of its
/// RCU section, or not at all. `why` is the reason to leave if only sleeping would help.
template <FaultScheme S, class Obtain>
FaultOutcome ObtainFor(FaultTarget& target, typename S::Hold& hold, WalkState& walk,
                       LeaveReason why, const Obtain& obtain) {
  if constexpr (SuspendingScheme<S>) {
    S::Suspend(hold);
    const bool obtained = obtain(Gfp::kKernel).ok();
    if (!obtained) return OutOfMemory(hold, why);
    return S::Resume(target, hold, walk) ? 0 : fault_bit::kRetry;
  } else {
    if (!S::MaySleep(hold)) {
      if (obtain(Gfp::kNowait).ok()) return 0;
      if (!TryUpgrade<S>(target, hold, why)) return Leave(hold, why);
    }
    return obtain(Gfp::kKernel).ok() ? 0 : OutOfMemory(hold, why);
  }
}

/// The same for what hangs on pointers of the view, which a suspended fault must not follow.
template <FaultScheme S, class Obtain>
FaultOutcome ObtainInSection(FaultTarget& target, typename S::Hold& hold, LeaveReason why,
                             const Obtain& obtain) {
  if (!S::MaySleep(hold)) {
    if (obtain(Gfp::kNowait).ok()) return 0;
    if (!TryUpgrade<S>(target, hold, why)) return Leave(hold, why);
  }
  return obtain(Gfp::kKernel).ok() ? 0 : OutOfMemory(hold, why);
}

// -- Page tables ----------------------------------------------------------------------------------

/// Whether the scheme leaves a missing table of that level to the rungs below.
template <FaultScheme S>
bool RefusesToWire(const FaultTarget& target, TableLevel level) {
  if constexpr (SuspendingScheme<S>) {
    return level != TableLevel::kPte && !target.options.spf_wire_tables;
  }
  return false;
}

/// Gets a table of `level` into the stock by the stock's policy (A1-A7). May suspend the hold: the
/// caller walks again.
template <FaultScheme S>
FaultOutcome StockTable(FaultTarget& target, typename S::Hold& hold, WalkState& walk,
                        TableStock& stock, TableLevel level) {
  const auto add = [&](Gfp gfp) { return stock.Add(level, gfp); };
  if (MutantOn(Mutant::kM8)) return add(Gfp::kKernel).ok() ? 0 : fault_bit::kOom;
  const auto sleeping = [&] {
    return add(Gfp::kKernel).ok() ? 0 : OutOfMemory(hold, LeaveReason::kNoTable);
  };
  switch (stock.policy()) {
    case TableAlloc::kEager:
      MM_DCHECK(S::MaySleep(hold));
      return sleeping();
    case TableAlloc::kPreallocAll:
    case TableAlloc::kPreallocMissing:
      // It vanished since the look before Begin.
      return S::MaySleep(hold) ? sleeping() : Leave(hold, LeaveReason::kNoTable);
    case TableAlloc::kNowaitScope: {
      {
        const AllocScope scope(AllocScope::kNowait);
        if (add(Gfp::kKernel).ok()) return 0;
      }
      // Pinned, it may sleep; a suspended fault is as good as pinned, since it checks afterwards.
      if constexpr (SuspendingScheme<S>) {
        return ObtainFor<S>(target, hold, walk, LeaveReason::kNoTable, add);
      }
      if (S::MaySleep(hold) || TryUpgrade<S>(target, hold, LeaveReason::kNoTable)) {
        return sleeping();
      }
      return Leave(hold, LeaveReason::kNoTable);
    }
    case TableAlloc::kGfpArgument:
      if (add(Gfp::kNowait).ok()) return 0;
      break;
    case TableAlloc::kRcuImpliesNowait:
      if (add(Gfp::kKernel | Gfp::kNowaitInRcu).ok()) return 0;
      break;
    case TableAlloc::kTaskFlag:
      if (add(Gfp::kKernel).ok()) return 0;
      break;
    case TableAlloc::kNowaitReclaimRetry:
      if (add(Gfp::kNowait | Gfp::kNomemalloc).ok()) return 0;
      break;
    case TableAlloc::kCount:
      MM_UNREACHABLE("no such policy");
  }
  // The last rung has no other to leave this to.
  if constexpr (kIsLastRung<S>) return sleeping();
  if (stock.policy() != TableAlloc::kNowaitReclaimRetry &&
      TryUpgrade<S>(target, hold, LeaveReason::kNoTable)) {
    return sleeping();
  }
  return Leave(hold, LeaveReason::kNoTable);
}

/// Makes the entry point to the stock's table of that level, if the hold is good and nobody was
/// faster; 0 also if somebody was.
template <FaultScheme S>
FaultOutcome WireTable(FaultTarget& target, typename S::Hold& hold, EntryRef at,
                       SpareTable& spare) {
  switch (target.tables.Wire(at, spare, [&] { return S::StillValid(target, hold); })) {
    case PageTables::Wiring::kDone:
    case PageTables::Wiring::kLost:
      return 0;
    case PageTables::Wiring::kStray:
      return Leave(hold, LeaveReason::kTableGone);
    case PageTables::Wiring::kInvalid:
      return Leave(hold, LeaveReason::kChanged);
  }
  MM_UNREACHABLE("a wiring without a name");
}

/// Walks down to the PMD table, or to the PTE table, putting in what is missing; sets walk.pmd.
template <FaultScheme S>
FaultOutcome WalkTo(TableLevel bottom, FaultTarget& target, typename S::Hold& hold,
                    TableStock& stock, WalkState& walk) {
  // Still good where an earlier step walked: a walk that was suspended begins anew by itself.
  if (walk.pmd && walk.pmd.Load().present()) return 0;
  while (true) {
    // From the root each time: the walk may have been suspended.
    const PageTables::Descent descent = target.tables.Descend(walk.page);
    if (descent.level == TableLevel::kPmd) {
      walk.pmd = descent.entry;
      if (bottom == TableLevel::kPmd || descent.seen.present()) return 0;
    }
    const TableLevel missing = Below(descent.level);
    if (!S::MaySleep(hold) && RefusesToWire<S>(target, missing)) {
      return Leave(hold, LeaveReason::kNoUpperTable);
    }
    if (!stock.Has(missing)) {
      const FaultOutcome stocked = StockTable<S>(target, hold, walk, stock, missing);
      if (stocked != 0) return stocked;
      continue;
    }
    const FaultOutcome wired = WireTable<S>(target, hold, descent.entry, stock.At(missing));
    if (wired != 0) return wired;
  }
}

}  // namespace faultline
