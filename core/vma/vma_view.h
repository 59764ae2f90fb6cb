// SPDX-License-Identifier: Apache-2.0
//
// VmaView: a copy of a VMA's fields, for those who read a VMA that may be changing meanwhile: the
// steps of a fault (core/fault) and onlookers (core/mm/vma_scan.h). They read the copy and never
// the VMA again, so that all they do is about one and the same range.
//
// Made under a lock that keeps the VMA as it is, or inside a Speculate scope, through a StableRef,
// and then worthless until it is checked. A lock or a check is of that moment only: the copy does
// not follow the VMA.
#pragma once

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/vma/vma.h"
#include "core/vma/vma_flags.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A VMA as it was at one moment.
struct VmaView {
  /// Fills it through a pointer or a StableRef.
  template <class VmaPointer>
  void CopyFrom(const VmaPointer& vma) {
    start = vma->start();
    end = vma->end();
    flags = vma->flags();
    pgoff = vma->pgoff();
    mapping = vma->mapping();
    anon_vma = vma->anon_vma();
  }

  [[nodiscard]] bool Contains(VirtAddr addr) const { return start <= addr && addr < end; }
  [[nodiscard]] bool Has(VmaFlags any) const { return (flags & any) != 0; }
  /// The index of the page at `addr`, which is inside (Linux: linear_page_index).
  [[nodiscard]] PageIndex IndexOf(VirtAddr addr) const {
    return pgoff + ((addr - start) >> kPageShift);
  }

  VirtAddr start{0};
  VirtAddr end{0};
  VmaFlags flags = 0;
  PageIndex pgoff{0};
  /// To be followed as long as what the copy was made under lasts: the lock, or the RCU section.
  Mapping* mapping = nullptr;
  AnonVma* anon_vma = nullptr;  ///< likewise; a fault sets it itself when it needs one
};

}  // namespace faultline
