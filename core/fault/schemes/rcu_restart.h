// SPDX-License-Identifier: Apache-2.0
//
// Scheme rcu_restart (S8, S10, S11; Wilcox's outline of seed 001, never written elsewhere): the
// whole fault in one RCU section, without a store to a shared line. It allocates without sleeping;
// what cannot be had, or did not validate, makes the fault start again under the VMA's count.
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/vma_copy.h"
#include "core/fault/schemes/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct RcuRestartScheme : ValidatingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kRcuRestart,
                                    .name = "rcu_restart",
                                    .duties = kDutyDrainCounts | kDutyBumpVma | kDutyAskHoles,
                                    .default_alloc = TableAlloc::kGfpArgument};
  using Fallback = VmaRefcntScheme;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kValidated) {}
    std::optional<RcuGuard> section;
    VmaNote note;
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  [[nodiscard]] static bool StillValid(const FaultTarget& target, const Hold& hold) {
    return !AsksStillValid(target) || hold.note.IsCurrent();
  }
  static void End(FaultTarget& /*target*/, Hold& hold) { hold.section.reset(); }
};

}  // namespace faultline
