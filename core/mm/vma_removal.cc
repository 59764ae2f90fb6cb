// SPDX-License-Identifier: Apache-2.0
//
// The steps of vma_removal.h.
//
// Floor and ceiling are taken while the range is gathered, under mmap_lock held for write; after a
// downgrade neighbours could not move, either: a stack grows under the write lock only (M13).
#include "core/mm/vma_removal.h"

#include <algorithm>

#include "core/base/mutant.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Result<void> VmaRemoval::Gather() {
  MmWriter& writer = editor_.writer();
  Vma* vma = editor_.FirstIn(range_);
  if (vma == nullptr) return {};
  if (vma->start() < range_.start()) {
    // The count may go one above the limit for a moment, unless the range leaves a hole.
    if (range_.end() < vma->end() && writer.map_count() >= writer.options().max_map_count) {
      return Errno::kEnomem;
    }
    if (vma->Has(vma_flag::kSealed)) return Errno::kEperm;
    MM_TRY(editor_.SplitUnlimited(*vma, range_.start(), VmaEditor::Keep::kUpper));
  }
  MapleCursor cursor(writer.tree(), vma->start().value());
  if (MapleCursor before = cursor; before.PrevValue()) {
    floor_ = static_cast<const Vma*>(before.entry().value)->end();
  }
  do {
    vma = static_cast<Vma*>(cursor.entry().value);
    if (vma->start() >= range_.end()) {
      ceiling_ = vma->start();
      break;
    }
    const Result<void> collected = Collect(*vma);
    if (!collected.ok()) {
      Abandon();
      return collected;
    }
    if (cursor.is_stale()) cursor.Seek(vma->start().value());  // its end was split off
  } while (cursor.NextValue());
  return {};
}

/// Marks a VMA that begins inside, after splitting off what sticks out.
Result<void> VmaRemoval::Collect(Vma& vma) {
  if (vma.Has(vma_flag::kSealed)) return Errno::kEperm;
  if (vma.end() > range_.end()) {
    MM_TRY(editor_.SplitUnlimited(vma, range_.end(), VmaEditor::Keep::kLower));
  }
  editor_.writer().Mark(vma);
  vmas_.push_back(vma);
  pages_ += vma.pages();
  if (vma.Has(vma_flag::kAccount)) committed_ += vma.pages();
  return {};
}

void VmaRemoval::Abandon() {
  while (vmas_.pop_front() != nullptr) {
  }
}

Result<void> VmaRemoval::Reserve() {
  return editor_.writer().tree().Reserve(range_.start().value(), range_.end().value() - 1);
}

void VmaRemoval::Publish() {
  editor_.writer().tree().Store(range_.start().value(), range_.end().value() - 1, nullptr);
  Detach();
}

void VmaRemoval::Detach() {
  for (Vma& vma : vmas_) vma.Detach();
}

void VmaRemoval::UnlinkRmap() {
  for (Vma& vma : vmas_) {
    editor_.UnlinkRmap(vma);
    editor_.writer().Account(vma.flags(), -static_cast<int64_t>(vma.pages()));
    --editor_.writer().map_count();
  }
}

void VmaRemoval::ClearPages() {
  if (vmas_.empty()) return;
  MmWriter& writer = editor_.writer();
  const MmServices& services = writer.services();
  // Holes at the ends have no entries, but their tables may be ours.
  const VirtRange used(vmas_.front()->start(), vmas_.back()->end());
  writer.AwaitFaults();
  TlbGather gather(services.frames, services.heap, services.tlbs, writer.tlb());
  ZapRange(writer.tables(), gather, used, {.drop_markers = true, .holes = writer.holes()});
  FreeTables(writer.tables(), gather, used, floor_, ceiling_);
  gather.Finish();
}

void VmaRemoval::FreeVmas() {
  while (Vma* vma = vmas_.pop_front()) editor_.Free(*vma);
}

Result<VirtRange> RangeToUnmap(const MmWriter& writer, VirtAddr addr, uint64_t length) {
  const uint64_t task_size = writer.task_size().value();
  if (!IsPageAligned(addr) || addr.value() > task_size || length > task_size - addr.value()) {
    return Errno::kEinval;
  }
  const uint64_t bytes = *PageAlignUp(length);  // below task size
  if (bytes == 0) return Errno::kEinval;
  return VirtRange(addr, addr + bytes);
}

namespace {

/// How mmap_lock is held while pages are cleared.
enum class Clearing : uint8_t { kUnderWriteLock, kDowngraded };

Result<void> Remove(VmaEditor& editor, VirtRange range, Clearing clearing) {
  VmaRemoval removal(editor, range);
  MM_TRY(removal.Gather());
  if (removal.empty()) return {};
  const Result<void> reserved = removal.Reserve();
  if (!reserved.ok()) {
    removal.Abandon();
    return reserved;
  }
  removal.Publish();
  if (!MutantOn(Mutant::kM18)) removal.UnlinkRmap();
  if (clearing == Clearing::kDowngraded && !MutantOn(Mutant::kM18)) editor.writer().Downgrade();
  removal.ClearPages();
  if (MutantOn(Mutant::kM18)) removal.UnlinkRmap();
  removal.FreeVmas();
  return {};
}

}  // namespace

Result<void> RemoveRange(VmaEditor& editor, VirtRange range) {
  return Remove(editor, range, Clearing::kUnderWriteLock);
}

Result<void> RemoveRangeDowngrading(VmaEditor& editor, VirtRange range) {
  return Remove(editor, range, Clearing::kDowngraded);
}

}  // namespace faultline
