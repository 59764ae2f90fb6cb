// SPDX-License-Identifier: Apache-2.0
//
// Scheme spf_vma_seq; see spf_vma_seq.h. A suspended fault holds nothing of the VMA, whose memory
// may go meanwhile; so Resume finds it again, and only a VMA with the noted sequence will do.
#include "core/fault/schemes/spf_vma_seq.h"

#include "core/fault/ladder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool SpfVmaSeqScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  return BeginWithCopy(target, request.addr, hold);
}

bool SpfVmaSeqScheme::Resume(FaultTarget& target, Hold& hold, WalkState& walk) {
  hold.section.emplace();
  // Outside of the section the slot may have become another VMA's; it is no other memory, and its
  // sequence went on (B21). So the note tells without a second walk of the tree.
  hold.note.ref = StableRef<Vma>(hold.note.ref.get());
  if (!hold.note.IsCurrent()) {
    hold.reason = LeaveReason::kChanged;
    return false;
  }
  walk.pmd = target.tables.FindPmd(walk.page);
  return true;
}

template FaultOutcome Fault<SpfVmaSeqScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<SpfVmaSeqScheme> && SuspendingScheme<SpfVmaSeqScheme>);

}  // namespace faultline
