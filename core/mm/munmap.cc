// SPDX-License-Identifier: Apache-2.0
//
// munmap (Linux: __vm_munmap, do_vmi_munmap in mm/vma.c). The range goes out of the tree under
// mmap_lock held for write; its pages are cleared with the lock downgraded, so that faults
// elsewhere go on (B2).
#include "core/mm/vma_removal.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Result<void> Mm::Munmap(VirtAddr addr, uint64_t length) {
  const ActivityScope activity(Activity::kMunmap);
  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  MM_ASSIGN_OR_RETURN(const VirtRange range, RangeToUnmap(writer, addr, length));
  VmaEditor editor(writer);
  return RemoveRangeDowngrading(editor, range);
}

}  // namespace faultline
