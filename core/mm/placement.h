// SPDX-License-Identifier: Apache-2.0
//
// Where a mapping goes if the caller does not insist (Linux: get_unmapped_area and its helpers:
// arch_get_unmapped_area_topdown of x86-64, thp_get_unmapped_area, vm_unmapped_area).
//
// Top-down from mmap_base, the highest gap that fits; below a stack its guard gap stays free;
// anonymous mappings whose length is a multiple of 2 MiB are aligned to 2 MiB. If nothing fits
// there, bottom-up from the legacy base. A hint is taken if its place is free.
#pragma once

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct PlacementRequest {
  VirtAddr hint{0};        ///< 0: none
  uint64_t length = 0;     ///< whole pages, more than 0
  uint64_t map_flags = 0;  ///< abi::kMapFixed, kMapShared, kMap32Bit, kMapAbove4G count
  bool is_file = false;    ///< a file with an own offset: never aligned to 2 MiB here
};

/// The place: free, or with kMapFixed whatever the hint says. ENOMEM if there is none or the
/// request reaches behind task size, EINVAL if a fixed address is not page-aligned, EPERM below
/// dac_mmap_min_addr. mmap_lock is held for write.
[[nodiscard]] Result<VirtAddr> FindPlace(const VmaEditor& editor, const PlacementRequest& request);

/// The lowest address that must stay free below `vma`: its start, or less for a stack (Linux:
/// vm_start_gap).
[[nodiscard]] VirtAddr StartWithGap(const Vma& vma, const MmOptions& options);

}  // namespace faultline
