// SPDX-License-Identifier: Apache-2.0
//
// Scheme vma_rwsem (S3): seed 004's sketch of 2022, with the look at whether the VMA was detached
// that Linux 6.4 added (M19 is the sketch without it). A try of the VMA's rwsem under RCU; if that
// fails, mmap_lock and then the rwsem, which no writer can hold then.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The lower rung: mmap_lock first, then the VMA's rwsem; both to the end.
struct MmapThenVmaRwsem : LockingScheme {
  static constexpr bool kHoldsMmapLock = true;
  using Fallback = void;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kMmapLock) {}
    Vma* vma = nullptr;
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  static void End(FaultTarget& target, Hold& hold);
};

struct VmaRwsemScheme : LockingScheme {
  static constexpr SchemeInfo kInfo{.scheme = SchemeName::kVmaRwsem,
                                    .name = "vma_rwsem",
                                    .lifetime = VmaLifetime::kRcu,
                                    .duties = kDutyHoldRwsem,
                                    .may_sleep = true};
  using Fallback = MmapThenVmaRwsem;

  struct Hold : FaultHold {
    Hold() : FaultHold(FaultRung::kVmaLock) {}
    Vma* vma = nullptr;
  };

  [[nodiscard]] static bool Begin(FaultTarget& target, const FaultRequest& request, Hold& hold);
  static void End(FaultTarget& target, Hold& hold);
};

}  // namespace faultline
