// SPDX-License-Identifier: Apache-2.0
//
// Scheme spf_vma_seq (S7; Dufour's series of 2018 and 2019, after Zijlstra, reconstructed): as
// spf_mm_seq, with a sequence for each VMA, so that writers elsewhere in the mm do no harm.
//
// Refused, as in the series: VMAs that lack an anon_vma they need, faults that would ask a file for
// a page, missing upper tables unless spf_wire_tables is on.
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/mmap_lock.h"
#include "core/fault/schemes/vma_copy.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct SpfVmaSeqScheme : ValidatingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kSpfVmaSeq,
                                    .name = "spf_vma_seq",
                                    .lifetime = VmaLifetime::kRcu,
                                    .duties = kDutyBumpVma | kDutyAskHoles,
                                    .default_alloc = TableAlloc::kPreallocMissing};
  using Fallback = MmapLockScheme;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kValidated) {}
    std::optional<RcuGuard> section;
    VmaNote note;
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  [[nodiscard]] static bool StillValid(const FaultTarget& target, const Hold& hold) {
    return !AsksStillValid(target) || hold.note.IsCurrent();
  }
  static void Suspend(Hold& hold) { hold.section.reset(); }
  [[nodiscard]] static bool Resume(FaultTarget& target, Hold& hold, WalkState& walk);
  static void End(FaultTarget& /*target*/, Hold& hold) { hold.section.reset(); }

  [[nodiscard]] static bool RefusesMapping(const VmaView& /*view*/,
                                           const FaultRequest& /*request*/) {
    return true;
  }
};

}  // namespace faultline
