// SPDX-License-Identifier: Apache-2.0
//
// Maps as records; see proc_maps.h. A name is copied where its VMA is looked at: a Mapping outlives
// the locks and RCU sections in which a VMA leads to it, and no more.
#include "core/mm/proc_maps.h"

#include "core/observe/activity.h"
#include "core/pagecache/mapping.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// What anonymous memory is called (Linux: vma_is_initial_heap, vma_is_initial_stack).
std::string AnonymousName(const Mm& mm, const VmaView& vma) {
  const MmOptions& options = mm.options();
  if (vma.start < mm.brk() && vma.end > options.start_brk) return "[heap]";
  const VirtAddr stack = options.start_stack;
  if (stack.value() != 0 && vma.start <= stack && vma.end >= stack) return "[stack]";
  return {};
}

}  // namespace

VmaRecord RecordOf(const Mm& mm, const VmaView& vma) {
  VmaRecord record{.range = VirtRange(vma.start, vma.end),
                   .flags = vma.flags,
                   .offset = 0,
                   .device = {},
                   .inode = 0,
                   .path = {},
                   .mapping = vma.mapping};
  if (vma.mapping == nullptr) {
    record.path = AnonymousName(mm, vma);
    return record;
  }
  record.offset = vma.pgoff.value() << kPageShift;
  record.device = vma.mapping->kind() == Mapping::Kind::kShmem ? kShmemDevice : kFileDevice;
  record.inode = vma.mapping->inode();
  record.path = vma.mapping->name();
  return record;
}

Result<MapsPage> ReadMaps(Mm& mm, ReadMode mode, VirtAddr from, size_t most) {
  const ActivityScope activity(Activity::kReadMaps);
  VmaScan scan(mm, mode);
  MapsPage page;
  while (page.vmas.size() < most) {
    const auto add = [&](const VmaView& vma, VmaScan::StillThere) {
      page.vmas.push_back(RecordOf(mm, vma));
      return true;
    };
    MM_ASSIGN_OR_RETURN(const bool found, scan.Next(from, add));
    if (!found) break;
    from = page.vmas.back().range.end();
  }
  if (page.vmas.size() == most && scan.HasNext(from)) page.next = from;
  page.held_ns = scan.End();
  return page;
}

}  // namespace faultline
