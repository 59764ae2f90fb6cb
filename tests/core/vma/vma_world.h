// SPDX-License-Identifier: Apache-2.0
//
// VMAs and their locks without an mm: an owner with a tree, a sequence and marks, which does with
// VMAs what operations of an mm do, in the same order. For tests of the lock protocols, in both
// flavours; in a modelled scenario everything is in the run's heap.
//
// One task at a time is the writer of an owner: the tests see to that. An owner gives its memory
// back when its last count goes.
#pragma once

#include <cstdint>

#include "core/base/check.h"
#include "core/base/types.h"
#include "core/sync/sync.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"
#include "core/vma/vma_marks.h"
#include "core/vma/vma_refcnt.h"
#include "core/vma/vma_rwsem.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

[[nodiscard]] constexpr VirtAddr PageAt(uint64_t page) {
  return VirtAddr(0x10'0000 + page * kPageSize);
}
[[nodiscard]] constexpr VirtRange PageRange(uint64_t page, uint64_t pages) {
  return {PageAt(page), PageAt(page + pages)};
}

class VmaTestOwner : public VmaOwner {
 public:
  struct Parts {
    Heap& heap;
    VmaSlab& slab;
    WriteDuties duties = kDutyDrainCounts | kDutyBumpVma;
    uint64_t first_sequence = 0;
  };
  [[nodiscard]] static VmaTestOwner& Make(const Parts& parts) {
    return **parts.heap.New<VmaTestOwner>(parts);
  }
  explicit VmaTestOwner(const Parts& parts)
      : VmaOwner(parts.first_sequence),
        heap_(parts.heap),
        slab_(parts.slab),
        tree_(parts.heap),
        marks_(*this, parts.duties) {
    MM_CHECK(tree_.Init().ok());
  }

  [[nodiscard]] MapleTree& tree() { return tree_; }

  // -- The writer ---------------------------------------------------------------------------------

  /// A section: from mmap_lock taken for write to its release.
  void Begin() {
    sequence_.WriteBegin();
    marks_.Begin(sequence_.value());
  }
  void End() {
    marks_.End();
    sequence_.WriteEnd();
  }
  void Mark(Vma& vma) { marks_.Mark(vma); }
  [[nodiscard]] bool IsMarked(const Vma& vma) const { return marks_.IsMarked(vma); }

  /// In a section: a new VMA.
  Vma& Map(uint64_t page, uint64_t pages) {
    Vma& vma = **slab_.Allocate();
    vma.Init(*this, PageRange(page, pages), vma_flag::kRead, nullptr, PageIndex(page));
    Mark(vma);
    vma.Attach();
    Store(vma.range(), &vma);
    return vma;
  }
  /// In a section: takes the VMA out, so that nobody will find it any more. It can be freed once
  /// the section has ended.
  void Unmap(Vma& vma) {
    Mark(vma);
    Store(vma.range(), nullptr);
    vma.Detach();
  }
  /// A whole section that maps.
  Vma& MapAlone(uint64_t page, uint64_t pages) {
    Begin();
    Vma& vma = Map(page, pages);
    End();
    return vma;
  }
  /// A whole section that unmaps, and frees for reuse at once.
  void UnmapAlone(Vma& vma) {
    Begin();
    Unmap(vma);
    End();
    vma.FreeNow(slab_);
  }

  // -- Readers ------------------------------------------------------------------------------------

  [[nodiscard]] HeldVma LockCount(uint64_t page) {
    return VmaRefcnt::Lock(tree_, *this, PageAt(page), misses);
  }
  [[nodiscard]] HeldVma LockSem(uint64_t page, RwsemForm form) {
    return VmaRwsem::Lock(tree_, *this, PageAt(page), form, misses);
  }

  uint32_t misses = 0;  ///< of this owner's readers; one at a time

 private:
  void Store(VirtRange range, Vma* vma) {
    const uint64_t last = range.end().value() - 1;
    MM_CHECK(tree_.Reserve(range.start().value(), last).ok());
    tree_.Store(range.start().value(), last, vma);
  }
  void FreeMemory() override {
    Heap& heap = heap_;
    heap.Delete(this);
  }

  Heap& heap_;
  VmaSlab& slab_;
  MapleTree tree_;
  VmaMarks marks_;
};

}  // namespace faultline
