// SPDX-License-Identifier: Apache-2.0
//
// Scheme vma_refcnt; see vma_refcnt.h. The protocol of the count is in core/vma/vma_refcnt.h.
#include "core/fault/schemes/vma_refcnt.h"

#include "core/fault/ladder.h"
#include "core/vma/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool VmaRefcntScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  uint32_t misses = 0;
  const HeldVma held = VmaRefcnt::Lock(target.tree, target.mm, request.addr, misses);
  if (misses != 0) target.stats.Count(FaultCounter::kVmaLockMiss, misses);
  hold.vma = held.vma;
  hold.reason = held.reason;
  if (held.vma == nullptr) {
    // M6: "look again" is taken for "there is nothing".
    if (MutantOn(Mutant::kM6) && held.reason == LeaveReason::kDetached) {
      hold.refusal = fault_bit::kNoVma;
    }
    return false;
  }
  hold.view.CopyFrom(held.vma);
  return true;
}

void VmaRefcntScheme::End(FaultTarget& target, Hold& hold) {
  VmaRefcnt::Unlock(*hold.vma, target.mm);
}

template FaultOutcome Fault<VmaRefcntScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<VmaRefcntScheme>);

}  // namespace faultline
