// SPDX-License-Identifier: Apache-2.0
//
// Scheme rcu_continue (S9, S10; the other half of the question in seed 001): as rcu_restart, but a
// fault that has to sleep takes the VMA's count while its RCU section still lasts, and goes on from
// where it is: with its view, the upper tables that it walked, and what it prepared. The leaf entry
// is found again under its lock, as always.
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/vma_copy.h"
#include "core/fault/schemes/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct RcuContinueScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kRcuContinue,
                                    .name = "rcu_continue",
                                    .duties = kDutyDrainCounts | kDutyBumpVma | kDutyAskHoles,
                                    .default_alloc = TableAlloc::kGfpArgument};
  static constexpr bool kHoldsMmapLock = false;
  using Fallback = VmaRefcntScheme;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kValidated) {}
    std::optional<RcuGuard> section;
    VmaNote note;
    Vma* vma = nullptr;  ///< once it is counted
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  [[nodiscard]] static bool StillValid(const FaultTarget& target, const Hold& hold) {
    return hold.vma != nullptr || !AsksStillValid(target) || hold.note.IsCurrent();
  }
  [[nodiscard]] static bool MaySleep(const Hold& hold) { return hold.vma != nullptr; }
  /// Takes the count and leaves the section. False: it does not hold, and may have to leave.
  [[nodiscard]] static bool Upgrade(FaultTarget& target, Hold& hold, LeaveReason why);
  static void End(FaultTarget& target, Hold& hold);
};

}  // namespace faultline
