// SPDX-License-Identifier: Apache-2.0
//
// VmaRwsem: the rwsem of a VMA as its readers take it, in two forms. The sketch of 2022 (seed 004,
// S3): a writer holds the rwsem until its section ends, so a try that succeeds is enough, but for
// the look at whether the VMA has left the tree (M19). Linux 6.4 (S4): a writer passes through the
// rwsem and leaves the lock sequence behind, which readers compare before and after.
//
// VMAs are freed after a grace period: the caller found one in the RCU section that it is in.
// Guarantee: a VMA that was held is attached and unmarked, and stays so until Unlock.
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/observe/fault_reasons.h"
#include "core/sync/rcu.h"
#include "core/vma/held_vma.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Which form a mm uses.
enum class RwsemForm : uint8_t { kHeldBySection, kWithSequence };

class VmaRwsem {
 public:
  /// Finds the VMA at `addr` and read-locks it, without waiting. In no RCU section, or in one.
  /// `misses` as with VmaRefcnt::Lock. (Linux 6.4: lock_vma_under_rcu)
  [[nodiscard]] static HeldVma Lock(const MapleTree& tree, const VmaOwner& mm, VirtAddr addr,
                                    RwsemForm form, uint32_t& misses);
  /// Read-locks a VMA that mmap_lock, held for read, keeps free of writers.
  static void LockUnderMmapLock(Vma& vma) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    vma.rwsem_.LockShared();
  }
  /// The writer that is let in may take the VMA out and free it before the unlock has done with the
  /// rwsem's list of waiters, so a section keeps it (Linux: vma_end_read). Native only: modelled,
  /// an unlock is one step. core_mm_stress_test finds it missing, under the thread sanitizer.
  static void Unlock(Vma& vma) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::optional<RcuGuard> section;
    if constexpr (!kModelled) section.emplace();
    vma.rwsem_.UnlockShared();
  }

 private:
  [[nodiscard]] static LeaveReason TryLock(Vma& vma, const VmaOwner& mm, VirtAddr addr,
                                           RwsemForm form);
};

}  // namespace faultline
