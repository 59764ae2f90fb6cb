// SPDX-License-Identifier: Apache-2.0
//
// Stack growth; see stack.h. The guard gap is kept towards whatever lies below, unless that is a
// stack, too, or cannot be accessed at all (a guard that the program made itself).
#include "core/mm/stack.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// acct_stack_growth
Result<void> CheckLimits(const MmWriter& writer, const Vma& vma, uint64_t size, uint64_t pages) {
  if (!writer.MayExpand(vma.flags(), pages)) return Errno::kEnomem;
  if (size > writer.options().rlimit_stack) return Errno::kEnomem;
  if (!writer.MayLock(vma.flags(), pages << kPageShift)) return Errno::kEnomem;
  if (!writer.MayCommit(pages)) return Errno::kEnomem;
  return {};
}

}  // namespace

Result<void> ExpandStack(VmaEditor& editor, Vma& vma, VirtAddr addr) {
  MmWriter& writer = editor.writer();
  if (!vma.Has(vma_flag::kGrowsDown)) return Errno::kEfault;
  const VirtAddr start = PageAlignDown(addr);
  if (start.value() < writer.options().mmap_min_addr) return Errno::kEperm;
  const Vma* const below = editor.Previous(vma);
  if (below != nullptr && !below->Has(vma_flag::kGrowsDown) && IsAccessible(below->flags()) &&
      start - below->end() < writer.options().stack_guard_gap) {
    return Errno::kEnomem;
  }
  MM_TRY(writer.tree().Reserve(start.value(), vma.end().value() - 1));
  MM_TRY(PrepareAnonVma(writer.fault_target(), vma));
  const uint64_t pages = (vma.start() - start) >> kPageShift;
  if (pages > vma.pgoff().value()) return Errno::kEnomem;
  MM_TRY(CheckLimits(writer, vma, vma.end() - start, pages));

  writer.Mark(vma);
  const VirtRange range(start, vma.end());
  {
    const WriteGuard rmap(vma.anon_vma()->lock());
    vma.SetRange(range, vma.pgoff() - pages);
    writer.tree().Store(range.start().value(), range.end().value() - 1, &vma);
  }
  writer.Account(vma.flags(), static_cast<int64_t>(pages));
  return {};
}

}  // namespace faultline
