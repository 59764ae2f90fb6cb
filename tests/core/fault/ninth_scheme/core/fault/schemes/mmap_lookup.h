// SPDX-License-Identifier: Apache-2.0
//
// Scheme mmap_lookup (Linux: uffd_lock_vma where the lookup under RCU has failed): mmap_lock held
// for read for the lookup alone; from then on the VMA's count. A fault that sleeps holds up writers
// of its VMA, not of the mm.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/mmap_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct MmapLookupScheme : LockingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kMmapLookup,
                                    .name = "mmap_lookup",
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
