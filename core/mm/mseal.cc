// SPDX-License-Identifier: Apache-2.0
//
// mseal (Linux: mm/mseal.c): from then on the range can be neither unmapped, moved, nor given other
// protections. The whole range has to be mapped; otherwise nothing is sealed.
#include <algorithm>

#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

bool ContainsHole(const VmaEditor& editor, VirtRange range) {
  VirtAddr at = range.start();
  while (at < range.end()) {
    const Vma* vma = editor.At(at);
    if (vma == nullptr) return true;
    at = vma->end();
  }
  return false;
}

Result<void> SealRange(VmaEditor& editor, VirtRange range) {
  for (VirtAddr at = range.start(); at < range.end();) {
    Vma* vma = editor.At(at);
    const VirtRange part(at, std::min(vma->end(), range.end()));
    if (!vma->Has(vma_flag::kSealed)) {
      const VmaFlags flags = vma->flags() | vma_flag::kSealed;
      MM_ASSIGN_OR_RETURN(vma, editor.Modify(*vma, part, flags));
    }
    at = std::max(part.end(), std::min(vma->end(), range.end()));
  }
  return {};
}

}  // namespace

Result<void> Mm::Mseal(VirtAddr addr, uint64_t length, uint64_t flags) {
  const ActivityScope activity(Activity::kMprotect);
  if (flags != 0 || !IsPageAligned(addr)) return Errno::kEinval;
  const std::optional<uint64_t> bytes = PageAlignUp(length);
  if (!bytes || addr.value() + *bytes < addr.value()) return Errno::kEinval;
  if (*bytes == 0) return {};
  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  VmaEditor editor(writer);
  const VirtRange range(addr, addr + *bytes);
  if (ContainsHole(editor, range)) return Errno::kEnomem;
  return SealRange(editor, range);
}

}  // namespace faultline
