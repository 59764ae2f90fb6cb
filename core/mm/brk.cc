// SPDX-License-Identifier: Apache-2.0
//
// brk (Linux: SYSCALL brk and do_brk_flags in mm/mmap.c, mm/vma.c). A break that cannot be had is
// no error: the old one is returned.
//
// Growing extends the heap's VMA if it ends there, else adds one; it never joins what lies above.
#include <optional>

#include "core/mm/placement.h"
#include "core/mm/populate.h"
#include "core/mm/vma_removal.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

/// Whether [start, start + bytes) may become heap (Linux: check_brk_limits and the guard gap).
bool MayGrow(VmaEditor& editor, VirtRange range) {
  MmWriter& writer = editor.writer();
  const auto place = FindPlace(
      editor, {.hint = range.start(), .length = range.bytes(), .map_flags = abi::kMapFixed});
  if (!place.ok() || !writer.MayLock(writer.default_flags(), range.bytes())) return false;
  const Vma* next = editor.FindFrom(range.start());
  return next == nullptr || range.end() + kPageSize <= StartWithGap(*next, writer.options());
}

Result<void> Grow(VmaEditor& editor, VirtRange range) {
  MmWriter& writer = editor.writer();
  const VmaFlags flags =
      kRead | kWrite | kMayRead | kMayWrite | kMayExec | kAccount | writer.default_flags();
  const uint64_t pages = range.pages();
  if (!writer.MayExpand(flags, pages)) return Errno::kEnomem;
  if (writer.map_count() > writer.options().max_map_count) return Errno::kEnomem;
  if (!writer.MayCommit(pages)) return Errno::kEnomem;
  const VmaProposal proposal{
      .range = range, .flags = flags, .pgoff = PageIndex(range.start().value() >> kPageShift)};
  MM_ASSIGN_OR_RETURN(const Vma* const merged,
                      editor.Merge(proposal, VmaEditor::Join::kPreviousOnly));
  if (merged == nullptr) {
    const Result<Vma*> inserted = editor.Insert(proposal);
    if (!inserted.ok()) return inserted.error();
  }
  writer.Account(flags, static_cast<int64_t>(pages));
  return {};
}

}  // namespace

Result<VirtAddr> Mm::Brk(VirtAddr addr) {
  const ActivityScope activity(Activity::kBrk);
  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  const VirtAddr before = brk_;
  const std::optional<VirtAddr> rounded = PageAlignUp(addr);
  if (addr < options_.start_brk || !rounded) return before;
  const uint64_t heap = addr - options_.start_brk;
  if (options_.rlimit_data != UINT64_MAX && heap > options_.rlimit_data) return before;
  const VirtAddr new_end = *rounded;
  const VirtAddr old_end = *PageAlignUp(before);
  VmaEditor editor(writer);
  if (new_end == old_end) {
    brk_ = addr;
    return addr;
  }
  if (addr <= before) {
    const Vma* vma = editor.FirstIn(VirtRange(new_end, old_end));
    if (vma == nullptr) return before;
    brk_ = addr;
    if (RemoveRangeDowngrading(editor, VirtRange(new_end, old_end)).ok()) return addr;
    brk_ = before;
    return before;
  }
  const VirtRange growth(old_end, new_end);
  if (!MayGrow(editor, growth) || !Grow(editor, growth).ok()) return before;
  brk_ = addr;
  const bool populate = (default_flags_ & kLocked) != 0;
  writer.Release();
  if (populate) {
    (void)Populate(*this, growth.start(), growth.bytes(), PopulateErrors::kIgnore);
  }
  return addr;
}

}  // namespace faultline
