// SPDX-License-Identifier: Apache-2.0
//
// Scheme spf_mm_seq (S6, S11; Lespinasse's series of 2021 and 2022, reconstructed): the VMA is
// copied, and several short RCU sections are linked by the mm's sequence. Whatever may sleep is
// done between sections. No store to a shared line on the way; any writer in the mm makes the fault
// start again under mmap_lock.
//
// Refused, as in the series: VMAs that lack an anon_vma they need, shared writes to files, missing
// upper tables unless spf_wire_tables is on.
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/mmap_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct SpfMmSeqScheme : ValidatingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kSpfMmSeq,
                                    .name = "spf_mm_seq",
                                    .lifetime = VmaLifetime::kRcu,
                                    .duties = kDutyAskHoles,
                                    .default_alloc = TableAlloc::kPreallocMissing};
  using Fallback = MmapLockScheme;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kValidated) {}
    std::optional<RcuGuard> section;
    uint64_t note = 0;  ///< the mm's sequence, even
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  [[nodiscard]] static bool StillValid(const FaultTarget& target, const Hold& hold) {
    return !AsksStillValid(target) || !target.mm.sequence().ReadRetry(hold.note);
  }
  static void Suspend(Hold& hold) { hold.section.reset(); }
  [[nodiscard]] static bool Resume(FaultTarget& target, Hold& hold, WalkState& walk);
  static void End(FaultTarget& /*target*/, Hold& hold) { hold.section.reset(); }

  [[nodiscard]] static bool RefusesMapping(const VmaView& view, const FaultRequest& request) {
    return request.access == AccessKind::kWrite && view.Has(vma_flag::kShared);
  }
};

}  // namespace faultline
