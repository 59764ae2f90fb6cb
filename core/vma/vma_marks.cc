// SPDX-License-Identifier: Apache-2.0
//
// Marking a VMA, duty by duty; see vma_marks.h. Order: readers that hold the VMA have left before
// the lock sequence tells those to come; copies are made invalid last. The VMA's own sequence is
// odd from then to the end of the section, so that who copies reads nothing of the mm, whose
// sequence every writer writes.
#include "core/vma/vma_marks.h"

#include "core/vma/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void VmaMarks::Mark(Vma& vma) {
  if (IsMarked(vma)) return;
  // Nobody can hold what is not in a tree yet.
  const bool drain = (duties_ & kDutyDrainCounts) != 0 && !vma.is_detached();
  if (drain) VmaRefcnt::Enter(vma, mm_);
  if ((duties_ & (kDutyPassRwsem | kDutyHoldRwsem)) != 0) vma.rwsem_.LockUnderOuter();
  // Release: pairs with lock_sequence(). Whoever sees the mark finds the mm's sequence odd, too.
  vma.lock_sequence_.Store(section_, kRelease);
  // What is changed next stays behind the mark, for who copies the VMA and compares its lock
  // sequence then. Pairs with the fence of that reader's second look.
  SeqCount::WriteFence();
  if ((duties_ & kDutyHoldRwsem) == 0 && (duties_ & kDutyPassRwsem) != 0) {
    vma.rwsem_.UnlockUnderOuter();
  }
  if (drain) VmaRefcnt::Leave(vma);
  if ((duties_ & kDutyBumpVma) != 0) vma.BumpSequence(1);
  if ((duties_ & (kDutyHoldRwsem | kDutyBumpVma)) != 0) {
    vma.next_marked_ = marked_;
    marked_ = &vma;
  }
}

void VmaMarks::End() {
  while (marked_ != nullptr) {
    Vma& vma = *marked_;
    marked_ = vma.next_marked_;
    if ((duties_ & kDutyBumpVma) != 0) vma.BumpSequence(1);
    if ((duties_ & kDutyHoldRwsem) != 0) vma.rwsem_.UnlockUnderOuter();
  }
}

}  // namespace faultline
