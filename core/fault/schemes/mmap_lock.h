// SPDX-License-Identifier: Apache-2.0
//
// Scheme mmap_lock (S1, S2; Linux before 6.4, and the last rung since): the mm's lock held for read
// from the lookup to the end. Nothing can change meanwhile, and every fault of the mm writes the
// lock's word.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct MmapLockScheme : LockingScheme {
  static constexpr SchemeInfo kInfo{
      .scheme = SchemeName::kMmapLock, .name = "mmap_lock", .may_sleep = true};
  static constexpr bool kHoldsMmapLock = true;
  using Fallback = void;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kMmapLock) {}
    Vma* vma = nullptr;
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  static void End(FaultTarget& target, Hold& hold);
};

}  // namespace faultline
