// SPDX-License-Identifier: Apache-2.0
//
// The readers of vma_rwsem.h. What a writer does is in vma_marks.cc.
#include "core/vma/vma_rwsem.h"

#include "core/base/mutant.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

HeldVma VmaRwsem::Lock(const MapleTree& tree, const VmaOwner& mm, VirtAddr addr, RwsemForm form,
                       uint32_t& misses) {
  const RcuGuard section;
  while (true) {
    auto* const vma = static_cast<Vma*>(tree.Find(addr.value()));
    if (vma == nullptr) return {nullptr, LeaveReason::kNoVma};
    const LeaveReason reason = TryLock(*vma, mm, addr, form);
    if (reason == LeaveReason::kNone) return {vma, reason};
    if (reason != LeaveReason::kDetached) return {nullptr, reason};
    ++misses;
  }
}

LeaveReason VmaRwsem::TryLock(Vma& vma, const VmaOwner& mm, VirtAddr addr, RwsemForm form)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {  // held on return, if so; scenarios of fault against munmap
  const auto is_marked = [&] {
    return form == RwsemForm::kWithSequence && vma.lock_sequence() == mm.sequence().value();
  };
  if (is_marked()) return LeaveReason::kWriteLocked;
  if (!vma.rwsem_.TryLockShared()) return LeaveReason::kContended;
  LeaveReason reason = LeaveReason::kNone;
  if (is_marked()) {
    reason = LeaveReason::kWriteLocked;
  } else if (vma.is_detached() && !MutantOn(Mutant::kM19)) {
    reason = LeaveReason::kDetached;
  } else if (!vma.range().Contains(addr)) {
    reason = LeaveReason::kRangeMoved;
  }
  if (reason != LeaveReason::kNone) vma.rwsem_.UnlockShared();
  return reason;
}

}  // namespace faultline
