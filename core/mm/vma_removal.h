// SPDX-License-Identifier: Apache-2.0
//
// VmaRemoval: taking everything out of a range (Linux: struct vma_munmap_struct, vms_gather_*,
// vms_complete_* in mm/vma.c). For munmap, MAP_FIXED over mappings, shrinking, and mremap.
//
// Order for munmap (DESIGN section 4): Gather marks; Publish, detach; UnlinkRmap; [downgrade];
// ClearPages: zap, free tables within floor and ceiling, flush, retire; FreeVmas. MAP_FIXED has
// ClearPages before the store that puts the new mapping in place, so that readers of the tree never
// see a gap.
#pragma once

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/base/result.h"
#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class VmaRemoval {
 public:
  VmaRemoval(VmaEditor& editor, VirtRange range) : editor_(editor), range_(range) {}
  ~VmaRemoval() { MM_DCHECK(vmas_.empty()); }
  VmaRemoval(const VmaRemoval&) = delete;
  VmaRemoval& operator=(const VmaRemoval&) = delete;

  /// Splits what sticks out of the range, and marks and collects the VMAs inside, which stay in the
  /// tree. ENOMEM (also max_map_count) or EPERM (a sealed VMA): nothing is collected; a split that
  /// was done stays (Linux: vms_gather_munmap_vmas).
  [[nodiscard]] Result<void> Gather();
  /// Gives up what was collected; all stays mapped.
  void Abandon();

  /// Sets aside the tree memory that Publish needs.
  [[nodiscard]] Result<void> Reserve();
  /// Takes the range out of the tree, and detaches. Cannot fail after Reserve.
  void Publish();
  /// The tree does not have the VMAs any more: late readers have to notice, when the marks have
  /// ended, too (B19). May sleep.
  void Detach();

  /// Takes the VMAs out of rmap and the mm's counts.
  void UnlinkRmap();
  /// Clears the page-table entries of the range and frees the tables that belong to nobody else.
  void ClearPages();
  /// UnlinkRmap and ClearPages, for VMAs that the next store of the tree replaces; Detach comes
  /// after that store.
  void ClearForReplacement() {
    UnlinkRmap();
    ClearPages();
  }
  /// Frees the VMAs. The tree does not have them any more. mmap_lock may be downgraded.
  void FreeVmas();

  [[nodiscard]] bool empty() const { return vmas_.empty(); }
  /// Pages inside, and those of them that are committed.
  [[nodiscard]] uint64_t pages() const { return pages_; }
  [[nodiscard]] uint64_t committed() const { return committed_; }

 private:
  [[nodiscard]] Result<void> Collect(Vma& vma);

  VmaEditor& editor_;
  VirtRange range_;
  IntrusiveList<Vma, OnRemoval> vmas_;
  uint64_t pages_ = 0;
  uint64_t committed_ = 0;
  VirtAddr floor_{0};    ///< the end of the mapping before the first one, 0 if none
  VirtAddr ceiling_{0};  ///< the start of the mapping behind the last one, 0 if none
};

/// The whole pages of [addr, addr + length), as munmap takes them: EINVAL if the address is not
/// page-aligned, the length is 0, or the range reaches behind task size.
[[nodiscard]] Result<VirtRange> RangeToUnmap(const MmWriter& writer, VirtAddr addr,
                                             uint64_t length);

/// Removes all mappings from `range`, not empty, page-aligned and below task size, with mmap_lock
/// held for write throughout. Errors as Gather. (Linux: do_vmi_align_munmap without unlock)
[[nodiscard]] Result<void> RemoveRange(VmaEditor& editor, VirtRange range);

/// The same, but mmap_lock is downgraded before pages are cleared, if there are any; the caller's
/// writer then holds it for read. (Linux: with unlock)
[[nodiscard]] Result<void> RemoveRangeDowngrading(VmaEditor& editor, VirtRange range);

}  // namespace faultline
