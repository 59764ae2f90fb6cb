// SPDX-License-Identifier: Apache-2.0
//
// ZapRange: takes present entries out (Linux: mm/memory.c unmap_page_range, zap_pte_range). The MMU
// may set accessed and dirty bits until the very exchange that clears an entry, so what is handed
// on is what the exchange returned. Empty tables stay, unless asked for; FreeTables comes later.
#include "core/pgtable/entry_dropper.h"
#include "core/pgtable/range_ops.h"
#include "core/pgtable/range_walk.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Zaps `part` of one PTE table. Returns where it stopped: once the gather is full.
VirtAddr ZapTable(PageTables& tables, TlbGather& gather, EntryRef pmd, VirtRange part,
                  const ZapOptions& options) {
  LockedPte pte(tables, pmd, part.start());
  if (!pte) return part.end();
  EntryDropper dropper(tables, gather);
  const uint32_t first = pte.index();
  const uint32_t end = first + static_cast<uint32_t>(part.pages());
  uint32_t index = pte.NextUsed(first, end);
  for (; index != end && !gather.full(); index = pte.NextUsed(index + 1, end)) {
    const Entry entry = pte.Get(index);
    const VirtAddr addr = part.start() + (index - first) * kPageSize;
    if (entry.is_guard() && options.drop_markers) pte.Set(index, Entry());
    if (entry.present()) dropper.Drop(addr, pte.GetAndClear(index));
  }
  return part.start() + (index - first) * kPageSize;
}

}  // namespace

void ZapRange(PageTables& tables, TlbGather& gather, VirtRange range, ZapOptions options) {
  ForEachPteTable(tables, range, options.holes, [&](EntryRef pmd, VirtRange part) {
    const VirtAddr stopped = ZapTable(tables, gather, pmd, part, options);
    if (gather.full()) gather.FlushNow();
    if (stopped < part.end() || !options.free_empty_tables) return stopped;
    // Asked of the range, not of the part, which may begin where a full gather stopped the last
    // one.
    const VirtAddr first = NextBoundary(TableLevel::kPmd, part.start()) - kPmdSize;
    if (range.Contains(VirtRange(first, first + kPmdSize))) {
      (void)TryFreeEmptyPteTable(tables, gather, pmd, first);
    }
    return stopped;
  });
}

}  // namespace faultline
