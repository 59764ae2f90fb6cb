// SPDX-License-Identifier: Apache-2.0
//
// Copying a VMA; see vma_copy.h. Order: the sequence first; then that it is attached, ours, and not
// marked; then its fields; then the sequence again. A writer who marks after the first look is seen
// by the second, one who marked before by the lock sequence.
#include "core/fault/schemes/vma_copy.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

LeaveReason CopyVma(const FaultTarget& target, VirtAddr addr, VmaNote& note, VmaView& view) {
  auto* const found = static_cast<Vma*>(target.tree.Find(addr.value()));
  if (found == nullptr) return LeaveReason::kNoVma;
  note.sequence = StableRef<Vma>(found)->sequence();
  // From here on the reference means what the slot was at the note.
  note.ref = StableRef<Vma>(found);
  const StableRef<Vma>& ref = note.ref;
  if (ref->is_detached()) return LeaveReason::kDetached;
  if (ref->owner() != &target.mm) return LeaveReason::kOtherMm;
  if (ref->lock_sequence() == target.mm.sequence().value()) return LeaveReason::kWriteLocked;

  Speculate<Vma, VmaView> copy(ref);
  copy.draft().CopyFrom(ref);
  if (!copy.Validate(note.IsCurrent())) return LeaveReason::kChanged;
  view = copy.value();
  return view.Contains(addr) ? LeaveReason::kNone : LeaveReason::kRangeMoved;
}

}  // namespace faultline
