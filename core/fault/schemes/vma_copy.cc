// SPDX-License-Identifier: Apache-2.0
//
// Copying a VMA; see vma_copy.h. Order: the sequence first, which is odd while the VMA is marked;
// then that it is attached and ours; then its fields; then the sequence again. Nothing of the mm is
// read that a writer elsewhere in it writes.
#include "core/fault/schemes/vma_copy.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

LeaveReason CopyVma(const FaultTarget& target, VirtAddr addr, VmaNote& note, VmaView& view) {
  auto* const found = static_cast<Vma*>(target.tree.Find(addr.value()));
  if (found == nullptr) return LeaveReason::kNoVma;
  note.sequence = StableRef<Vma>(found)->sequence();
  if ((note.sequence & 1) != 0) return LeaveReason::kWriteLocked;
  // From here on the reference means what the slot was at the note.
  note.ref = StableRef<Vma>(found);
  const StableRef<Vma>& ref = note.ref;
  if (ref->is_detached()) return LeaveReason::kDetached;
  if (ref->owner() != &target.mm) return LeaveReason::kOtherMm;

  Speculate<Vma, VmaView> copy(ref);
  copy.draft().CopyFrom(ref);
  if (!copy.Validate(note.IsCurrent())) return LeaveReason::kChanged;
  view = copy.value();
  return view.Contains(addr) ? LeaveReason::kNone : LeaveReason::kRangeMoved;
}

}  // namespace faultline
