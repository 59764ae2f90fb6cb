// SPDX-License-Identifier: Apache-2.0
//
// Scheme spf_mm_seq; see spf_mm_seq.h. Between Suspend and Resume nothing of the view is followed:
// a Mapping may be gone.
#include "core/fault/schemes/spf_mm_seq.h"

#include "core/fault/ladder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Copies the VMA at `addr` as it was at `note`.
LeaveReason CopyVmaAt(const FaultTarget& target, VirtAddr addr, uint64_t note, VmaView& view) {
  const StableRef<Vma> ref(static_cast<Vma*>(target.tree.Find(addr.value())));
  if (!ref) return LeaveReason::kNoVma;
  Speculate<Vma, VmaView> copy(ref);
  copy.draft().CopyFrom(ref);
  if (!copy.Validate(!target.mm.sequence().ReadRetry(note))) return LeaveReason::kChanged;
  view = copy.value();
  return LeaveReason::kNone;
}

}  // namespace

bool SpfMmSeqScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  hold.section.emplace();
  hold.reason = target.mm.sequence().TryReadBegin(hold.note)
                    ? CopyVmaAt(target, request.addr, hold.note, hold.view)
                    : LeaveReason::kWriteLocked;
  if (hold.reason == LeaveReason::kNone) return true;
  hold.section.reset();
  return false;
}

bool SpfMmSeqScheme::Resume(FaultTarget& target, Hold& hold, WalkState& walk) {
  hold.section.emplace();
  if (target.mm.sequence().ReadRetry(hold.note)) {
    hold.reason = LeaveReason::kChanged;
    return false;
  }
  walk.pmd = target.tables.FindPmd(walk.page);
  return true;
}

template FaultOutcome Fault<SpfMmSeqScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<SpfMmSeqScheme> && SuspendingScheme<SpfMmSeqScheme>);

}  // namespace faultline
