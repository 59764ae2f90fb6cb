// SPDX-License-Identifier: Apache-2.0
//
// Guard markers (Linux: mm/madvise.c madvise_guard_install, madvise_guard_remove): entries that are
// not present, survive DONTNEED, and make every access fault with SIGSEGV. Invariant: an entry goes
// from what it was to the marker in one step, so no fault finds it empty in between.
#include <algorithm>

#include "core/pgtable/entry_dropper.h"
#include "core/pgtable/range_ops.h"
#include "core/pgtable/range_walk.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Fills `part` of one PTE table with markers. Returns where it stopped: once the gather is full,
/// or at the start if the table vanished.
VirtAddr InstallInTable(PageTables& tables, TlbGather& gather, EntryRef pmd, VirtRange part) {
  LockedPte pte(tables, pmd, part.start());
  if (!pte) return part.start();
  EntryDropper dropper(tables, gather);
  uint32_t index = pte.index();
  VirtAddr addr = part.start();
  for (; addr < part.end() && !gather.full(); addr += kPageSize, ++index) {
    if (pte.Get(index).is_guard()) continue;
    const Entry before = pte.Modify(index, [](Entry) { return Entry::Guard(); });
    if (before.present()) dropper.Drop(addr, before);
  }
  return addr;
}

}  // namespace

Result<void> InstallGuards(PageTables& tables, TlbGather& gather, VirtRange range) {
  for (VirtAddr addr = range.start(); addr < range.end();) {
    MM_ASSIGN_OR_RETURN(const EntryRef pmd, tables.AllocPmd(addr, Gfp::kKernel));
    MM_TRY(tables.AllocPte(pmd, Gfp::kKernel));
    const VirtAddr end = std::min(NextBoundary(TableLevel::kPmd, addr), range.end());
    addr = InstallInTable(tables, gather, pmd, {addr, end});
    if (gather.full()) gather.FlushNow();
  }
  return {};
}

void RemoveGuards(PageTables& tables, VirtRange range) {
  ForEachPteTable(tables, range, Holes::kTrust, [&](EntryRef pmd, VirtRange part) {
    LockedPte pte(tables, pmd, part.start());
    if (!pte) return part.end();
    const auto count = static_cast<uint32_t>(part.pages());
    for (uint32_t index = pte.index(); index < pte.index() + count; ++index) {
      if (pte.Get(index).is_guard()) pte.Set(index, Entry());  // no TLB has a marker
    }
    return part.end();
  });
}

}  // namespace faultline
