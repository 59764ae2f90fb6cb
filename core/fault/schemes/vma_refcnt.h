// SPDX-License-Identifier: Apache-2.0
//
// Scheme vma_refcnt (S5; Linux 6.15 to 6.18): a count on the VMA, whose memory is type-stable and
// may be another VMA's by the time the count is taken. Two writes of a line that all faults of the
// VMA share.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/mmap_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct VmaRefcntScheme : LockingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kVmaRefcnt,
                                    .name = "vma_refcnt",
                                    .duties = kDutyDrainCounts,
                                    .may_sleep = true};
  using Fallback = MmapLockScheme;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kVmaLock) {}
    Vma* vma = nullptr;
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  static void End(FaultTarget& target, Hold& hold);
};

}  // namespace faultline
