// SPDX-License-Identifier: Apache-2.0
//
// Scheme vma_lock (S4; Linux 6.4 to 6.14): a try of the VMA's rwsem, which a writer only passes
// through; what keeps readers out afterwards is that the VMA's lock sequence is the mm's.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/fault/schemes/mmap_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct VmaLockScheme : LockingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kVmaLock,
                                    .name = "vma_lock",
                                    .lifetime = VmaLifetime::kRcu,
                                    .duties = kDutyPassRwsem,
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
