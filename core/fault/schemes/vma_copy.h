// SPDX-License-Identifier: Apache-2.0
//
// A copy of a VMA that is checked against the VMA's own sequence: what spf_vma_seq and the rcu_*
// schemes begin with (Dufour's and Zijlstra's form of seed 001).
//
// The sequence grows with every mark, attachment and detachment, whoever the slot belongs to (B21),
// and the VMA is not marked when the note is taken; so as long as the sequence is the note, the
// slot is the same VMA, in the tree of the same mm, with the same fields.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What a validating hold knows of its VMA; for use in the RCU section that it was found in.
struct VmaNote {
  StableRef<Vma> ref;
  uint64_t sequence = 0;

  [[nodiscard]] bool IsCurrent() const {
    SeqCount::ReadFence();  // what was read from the VMA comes before
    return ref->sequence() == sequence;
  }
};

/// Finds the VMA at `addr`, notes it and copies it. kNone: the view is the VMA as it was at the
/// note. Inside an RCU section.
[[nodiscard]] LeaveReason CopyVma(const FaultTarget& target, VirtAddr addr, VmaNote& note,
                                  VmaView& view);

/// Begin of the schemes that copy: a hold with a `section` and a `note`, inside that section if
/// true.
template <class Hold>
[[nodiscard]] bool BeginWithCopy(const FaultTarget& target, VirtAddr addr, Hold& hold) {
  hold.section.emplace();
  hold.reason = CopyVma(target, addr, hold.note, hold.view);
  if (hold.reason == LeaveReason::kNone) return true;
  hold.section.reset();
  return false;
}

}  // namespace faultline
