// SPDX-License-Identifier: Apache-2.0
//
// VmaOwner: what VMAs and their locks need of an mm (Linux: mm_lock_seq, vma_writer_wait and
// mm_count of mm_struct). Mm is the only kind; here it is known by this part alone.
//
// The sequence is odd while mmap_lock is held for write by somebody who has not downgraded (B20).
// A VMA is write-locked as long as its lock sequence equals it, so its next step ends all VMA write
// locks at once (B2). It has 64 bits and only grows: a note of it stays comparable for ever (B21).
//
// The count keeps the memory, and nothing else, for those who only remember the mm (B22).
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class VmaOwner {
 public:
  VmaOwner(const VmaOwner&) = delete;
  VmaOwner& operator=(const VmaOwner&) = delete;

  [[nodiscard]] const SeqCount& sequence() const { return sequence_; }
  /// Writers that wait for a VMA's readers to leave (see vma_refcnt.h).
  [[nodiscard]] WaitQueue& vma_writers() { return vma_writers_; }

  /// One count more; the caller has one, or something that keeps one alive.
  void Get() { count_.FetchAdd(1, kRelaxed); }  // relaxed: the caller has one already
  /// Drops one; the last one frees the memory. Any context.
  void Put() {
    // Release: our use comes before the freeing; acquire: the freeing after all uses.
    if (count_.FetchSub(1, kAcqRel) == 1) FreeMemory();
  }

 protected:
  /// With one count. `first_sequence` is even.
  explicit VmaOwner(uint64_t first_sequence) : sequence_(first_sequence) {}
  virtual ~VmaOwner() = default;
  /// The last count is gone: ends the object.
  virtual void FreeMemory() = 0;

  // Faults of every scheme but mmap_lock read it; apart from what they write.
  alignas(kCacheLinePad) SeqCount sequence_;

 private:
  alignas(kCacheLinePad) Atomic<uint32_t> count_{1};
  WaitQueue vma_writers_;
};

}  // namespace faultline
