// SPDX-License-Identifier: Apache-2.0
//
// Scheme rcu_continue; see rcu_continue.h. The count keeps writers out from when it is taken; that
// none came between the note and the count is what the sequence says. From then on the VMA covers
// the address, so that no table above it goes.
#include "core/fault/schemes/rcu_continue.h"

#include "core/fault/ladder.h"
#include "core/vma/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool RcuContinueScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  return BeginWithCopy(target, request.addr, hold);
}

bool RcuContinueScheme::Upgrade(FaultTarget& target, Hold& hold, LeaveReason why) {
  if (VmaRefcnt::TryLock(hold.note.ref, target.mm) != LeaveReason::kNone) return false;
  Vma& vma = *hold.note.ref.get();
  if (!hold.note.IsCurrent()) {
    VmaRefcnt::Unlock(vma, target.mm);
    return false;
  }
  hold.vma = &vma;
  hold.section.reset();
  target.stats.Left(hold.rung, why);
  hold.rung = FaultRung::kVmaLock;
  hold.upgraded_for = why;
  return true;
}

void RcuContinueScheme::End(FaultTarget& target, Hold& hold) {
  if (hold.vma != nullptr) VmaRefcnt::Unlock(*hold.vma, target.mm);
  hold.section.reset();
}

template FaultOutcome Fault<RcuContinueScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<RcuContinueScheme> && UpgradingScheme<RcuContinueScheme>);

}  // namespace faultline
