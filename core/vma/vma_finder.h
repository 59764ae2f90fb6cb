// SPDX-License-Identifier: Apache-2.0
//
// VmaFinder: a maple tree read as what it holds here, VMAs under byte addresses (Linux: find_vma,
// vma_lookup, find_vma_intersection). Holders of mmap_lock, in either mode, look VMAs up by it.
//
// Invariant of the tree: a VMA is stored under [start, end - 1].
#pragma once

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/types.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Every function returns null if there is no such VMA.
class VmaFinder {
 public:
  /// `tree` outlives it. mmap_lock is held in each call.
  explicit VmaFinder(const MapleTree& tree) : vmas_(tree) {}

  /// The first VMA that ends behind `addr`.
  [[nodiscard]] Vma* FindFrom(VirtAddr addr) const {
    return static_cast<Vma*>(vmas_.FindFrom(addr.value()).value);
  }
  /// The VMA that contains `addr`.
  [[nodiscard]] Vma* At(VirtAddr addr) const { return static_cast<Vma*>(vmas_.Find(addr.value())); }
  /// The last VMA that ends at or before `addr`, which lies inside none.
  [[nodiscard]] Vma* Before(VirtAddr addr) const {
    if (addr.value() == 0) return nullptr;
    auto* vma = static_cast<Vma*>(vmas_.FindBackFrom(addr.value() - 1).value);
    MM_DCHECK(vma == nullptr || vma->end() <= addr);
    return vma;
  }
  /// The first VMA that has an address in common with `range`.
  [[nodiscard]] Vma* FirstIn(VirtRange range) const {
    Vma* vma = FindFrom(range.start());
    return vma != nullptr && vma->start() < range.end() ? vma : nullptr;
  }
  [[nodiscard]] Vma* Next(const Vma& vma) const { return FindFrom(vma.end()); }
  [[nodiscard]] Vma* Previous(const Vma& vma) const { return Before(vma.start()); }

 private:
  const MapleTree& vmas_;
};

}  // namespace faultline
