// SPDX-License-Identifier: Apache-2.0
//
// Scheme mmap_lock; see mmap_lock.h. Also the fault of those who hold mmap_lock already, in either
// mode: the same path, with a hold that was begun elsewhere.
#include "core/fault/schemes/mmap_lock.h"

#include "core/fault/ladder.h"
#include "core/folio/no_wait_scope.h"
#include "core/vma/vma_finder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool MmapLockScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {  // held until End; every test of faults
  if (!target.mmap_lock.LockSharedKillable()) {
    hold.refusal = NoWaitScope::IsInForce() ? fault_bit::kWouldWait : fault_bit::kKilled;
    return false;
  }
  hold.vma = VmaFinder(target.tree).FindFrom(request.addr);
  if (hold.vma != nullptr && hold.vma->start() <= request.addr) {
    hold.view.CopyFrom(hold.vma);
    return true;
  }
  const bool below_stack = hold.vma != nullptr && hold.vma->Has(vma_flag::kGrowsDown);
  hold.refusal = below_stack ? fault_bit::kBelowStack : fault_bit::kNoVma;
  // For a stack to grow, mmap_lock is taken for write, and more that may sleep.
  if (below_stack && NoWaitScope::IsInForce()) hold.refusal = fault_bit::kWouldWait;
  target.mmap_lock.UnlockShared();
  return false;
}

void MmapLockScheme::End(FaultTarget& target,
                         Hold& /*hold*/) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // as Begin
  target.mmap_lock.UnlockShared();
}

LockedFault HandleFaultLocked(FaultTarget& target, Vma& vma, const FaultRequest& request) {
  MmapLockScheme::Hold hold;
  hold.vma = &vma;
  hold.view.CopyFrom(hold.vma);
  TableStock stock(target, TableAlloc::kEager);
  FaultOutcome outcome = HandleFault<MmapLockScheme>(target, hold, request, stock);
  // As at the end of the ladder: a scope of the caller's forbade to sleep.
  if ((outcome & fault_bit::kRetry) != 0) outcome = fault_bit::kOom;
  return {outcome, KindOf(outcome, hold.kind)};
}

template FaultOutcome Fault<MmapLockScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<MmapLockScheme>);

}  // namespace faultline
