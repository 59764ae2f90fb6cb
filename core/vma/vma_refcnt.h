// SPDX-License-Identifier: Apache-2.0
//
// VmaRefcnt: the count of a VMA's readers (Linux since 6.15: vm_refcnt, vma_start_read,
// __vma_enter_locked, vma_mark_detached; B15, B16, B18, B19, B22). It lives in type-stable memory,
// so it may be tried on a slot that has been freed or recycled.
//
//   0            detached: not in a tree; a reader cannot count
//   1            attached, without readers
//   1 + n        n readers
//   bit 30 set   a writer waits or marks: readers cannot count
//
// A reader counts first and looks then at whose VMA it is, whether it is being written, and where
// it lies; nothing learnt before the count is worth anything. A writer sets bit 30, waits until
// nobody but itself is left, stores the lock sequence, and clears the bit: from then on the match
// of the sequences is the lock. Guarantee: a reader that was let in was let in before the mark, and
// the mark has waited for it.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/observe/fault_reasons.h"
#include "core/sync/sync.h"
#include "core/vma/held_vma.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class VmaRefcnt {
 public:
  /// Finds the VMA of `mm` at `addr` and takes a count on it. In no RCU section, or in one. May
  /// fail without cause (B3). `misses` grows with each VMA that was found detached, after which the
  /// lookup begins again at the root. (Linux: lock_vma_under_rcu)
  [[nodiscard]] static HeldVma Lock(const MapleTree& tree, VmaOwner& mm, VirtAddr addr,
                                    uint32_t& misses);
  /// Takes a count on what `ref` refers to, if that is a VMA of `mm` and not being written; then
  /// `ref` is pinned. Inside the RCU section in which it was found. kNone: held, and it may lie
  /// anywhere by now.
  [[nodiscard]] static LeaveReason TryLock(StableRef<Vma>& ref, VmaOwner& mm);
  /// Ends a hold. The caller keeps `mm`, whose VMA it is, alive. (Linux: vma_end_read)
  static void Unlock(Vma& vma, VmaOwner& mm);

 private:
  friend class Vma;
  friend class VmaMarks;

  static constexpr uint32_t kAttached = 1;
  static constexpr uint32_t kWriter = 1u << 30;
  /// Most readers: one more and the sum would be taken for a writer's bit.
  static constexpr uint32_t kLimit = kWriter - 1;

  [[nodiscard]] static bool IsDetached(uint32_t count) { return (count & ~kWriter) == 0; }
  static void Attach(Vma& vma);
  static void Detach(Vma& vma);
  /// Keeps readers out and waits for those inside; then Leave lets them in again.
  static void Enter(Vma& vma, VmaOwner& mm);
  static void Leave(Vma& vma);
  [[nodiscard]] static LeaveReason TryCount(StableRef<Vma>& ref);
  static void DropCount(Vma& vma, VmaOwner& mm);
  static void WaitForReaders(Vma& vma, VmaOwner& mm, uint32_t rest);
};

}  // namespace faultline
