// SPDX-License-Identifier: Apache-2.0
//
// The buddy allocator: free frames as blocks of 2^order, each aligned to its size (Linux: the
// free_area of a zone, mm/page_alloc.c). A block that becomes free is joined with its neighbour of
// the same order, if that is free, and so on up.
//
// Frames behind a watermark were never used. They are taken, and their Folios made, a largest block
// at a time, and only when no list has a block that is large enough: frames that nobody needs cost
// nothing. Free blocks are linked through the user bytes of their first Folio.
//
// Locks: all under the zone lock. Its holder may take one CPU's list of frames after the other.
// Invariant: no two free blocks are buddies; every Folio below the watermark is made.
#pragma once

#include <array>
#include <cstdint>

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/folio/folio.h"
#include "core/sync/spin_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Buddy {
 public:
  static constexpr uint32_t kMaxOrder = 10;

  /// All frames from `first` to before `end` are free; folios[i] is the Folio of frame i. Those
  /// from `first` on are raw memory, made into Folios as needed.
  Buddy(Folio* folios, uint64_t first, uint64_t end);
  ~Buddy();
  Buddy(const Buddy&) = delete;
  Buddy& operator=(const Buddy&) = delete;

  /// The zone lock.
  [[nodiscard]] SpinLock<LockRank::kZone>& lock() const ABSL_LOCK_RETURNED(lock_) { return lock_; }

  /// The first frame of a block of 2^order, which is the caller's; null if there is none.
  [[nodiscard]] Folio* TakeLocked(uint32_t order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  /// Gives a block back that was taken, as a whole or in parts.
  void GiveLocked(Folio& folio, uint32_t order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  /// Frames in its blocks and behind the watermark.
  [[nodiscard]] uint64_t free_frames_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    return free_frames_;
  }
  /// The first frame that was never used; from there on there are no Folios.
  [[nodiscard]] uint64_t watermark_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    return watermark_;
  }

  /// Aborts if a list or the count is wrong. `visit(first frame, frames)` sees every free block.
  template <class Visit>
  void ValidateLocked(const Visit& visit) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    uint64_t counted = end_ - watermark_;
    for (uint32_t order = 0; order <= kMaxOrder; ++order) {
      for (const FreeBlock& block : lists_[order]) {
        const uint64_t pfn = CheckBlockLocked(block, order);
        visit(pfn, uint64_t{1} << order);
        counted += uint64_t{1} << order;
      }
    }
    MM_CHECK_EQ(counted, free_frames_);
  }

 private:
  struct OnFreeList;  // tag
  /// What the first Folio of a free block holds.
  struct FreeBlock : ListNode<OnFreeList> {
    Folio* folio = nullptr;
  };

  [[nodiscard]] bool GrowLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void LinkLocked(uint64_t pfn, uint32_t order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void UnlinkLocked(Folio& folio, uint32_t order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] uint64_t CheckBlockLocked(const FreeBlock& block, uint32_t order) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  mutable SpinLock<LockRank::kZone> lock_;
  Folio* const folios_;
  const uint64_t end_;
  uint64_t watermark_ ABSL_GUARDED_BY(lock_);
  uint64_t free_frames_ ABSL_GUARDED_BY(lock_);
  std::array<IntrusiveList<FreeBlock, OnFreeList>, kMaxOrder + 1> lists_ ABSL_GUARDED_BY(lock_);
};

}  // namespace faultline
