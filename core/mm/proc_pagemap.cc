// SPDX-License-Identifier: Apache-2.0
//
// Pagemap; see proc_pagemap.h. Each PTE table is read under its lock, under which a page's folio
// cannot go away: a zap drops it after it has cleared the entry there.
#include "core/mm/proc_pagemap.h"

#include <algorithm>

#include "core/mm/mm_lock.h"
#include "core/observe/activity.h"
#include "core/pgtable/page_tables.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

void Add(FrameAllocator& frames, VirtAddr addr, Entry entry, PagemapPage& page) {
  uint8_t flags = 0;
  uint64_t word = 0;
  if (entry.present()) {
    flags = pagemap_flag::kPresent;
    if (!entry.special()) {
      Folio& folio = frames.FolioOf(entry.pfn());
      if (folio.use() == FrameUse::kFile) flags |= pagemap_flag::kFileOrShared;
      word = frames.LoadWord(folio, 0);
    }
  } else if (entry.is_guard()) {
    flags = pagemap_flag::kGuard;
  }
  page.addresses.push_back(addr);
  page.flags.push_back(flags);
  page.words.push_back(word);
}

/// Adds what one PTE table has of `part`. When there is no room, says where to go on.
void AddTable(PageTables& tables, EntryRef pmd, VirtRange part, size_t most, PagemapPage& page) {
  const LockedPte pte(tables, pmd, part.start());
  if (!pte) return;
  const uint32_t first = pte.index();
  const uint32_t end = first + static_cast<uint32_t>(part.pages());
  for (uint32_t i = pte.NextUsed(first, end); i != end; i = pte.NextUsed(i + 1, end)) {
    const VirtAddr addr = part.start() + (i - first) * kPageSize;
    if (page.addresses.size() == most) {
      page.next = addr;
      return;
    }
    Add(tables.frames(), addr, pte.Get(i), page);
  }
}

}  // namespace

Result<PagemapPage> ReadPagemap(Mm& mm, VirtRange range, size_t most) {
  const ActivityScope activity(Activity::kReadMaps);
  const MmReader reader(mm);
  if (!reader.held()) return Errno::kEintr;
  PageTables& tables = reader.tables();
  PagemapPage page;
  const VirtAddr end = std::min(range.end(), tables.task_size());
  for (VirtAddr addr = range.start(); addr < end && !page.next.has_value();) {
    const PageTables::Descent descent = tables.Descend(addr);
    const VirtAddr boundary = std::min(NextBoundary(descent.level, addr), end);
    if (descent.has_pte_table()) {
      AddTable(tables, descent.entry, VirtRange(addr, boundary), most, page);
    }
    addr = boundary;
  }
  return page;
}

}  // namespace faultline
