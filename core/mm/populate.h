// SPDX-License-Identifier: Apache-2.0
//
// Faulting pages in on request: for MAP_POPULATE, mlock and MADV_POPULATE_READ and _WRITE (Linux:
// mm_populate, populate_vma_page_range and faultin_page_range in mm/gup.c).
#pragma once

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/mm/mm_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What to do about a page that cannot be had.
enum class PopulateErrors : uint8_t {
  kIgnore,  ///< MAP_POPULATE, mlockall: go on with the next VMA
  kReport,  ///< mlock: stop and say why
};

/// Faults in what is mapped in [start, start + bytes): for writing where VMAs are private and
/// writable, else for reading; VMAs locked on fault are left alone. EFAULT: a page behind the end
/// of its file, a guard page, or a VMA without any access; ENOMEM: no memory. Takes mmap_lock for
/// read.
[[nodiscard]] Result<void> Populate(Mm& mm, VirtAddr start, uint64_t bytes, PopulateErrors errors);

/// The part of it that belongs to one VMA, under a lock that is held (Linux:
/// populate_vma_page_range).
[[nodiscard]] Result<void> PopulateVma(FaultTarget& target, Vma& vma, VirtRange range);

/// MADV_POPULATE_READ and _WRITE: every page of the range for that access. ENOMEM at a hole, EINVAL
/// at a VMA that does not allow the access, EFAULT as above.
[[nodiscard]] Result<void> PopulateFor(Mm& mm, VirtRange range, AccessKind access);

}  // namespace faultline
