// SPDX-License-Identifier: Apache-2.0
//
// Reclaim of page tables from the side of a file (Linux: retract_page_tables of khugepaged, and
// what PT_RECLAIM does per mm; B40a). It follows no write protocol: no mmap_lock, no mark. A PTE
// table goes if it is empty under its own lock and its pmd's; whoever comes to it later reads the
// pmd again.
//
// What keeps the tables above while it walks is that the VMA is on the Mapping's list, whose lock
// is held: an operation frees tables after its VMAs have left i_mmap (B9; mutant M18).
#include "core/mm/mm.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void Mm::ReclaimTables(Mapping& mapping) {
  const ActivityScope activity(Activity::kReclaim);
  const ReadGuard listed(mapping.i_mmap());
  for (const Vma& vma : mapping.vmas()) {
    static_cast<Mm&>(*vma.owner()).ReclaimTables(vma.range());
  }
}

/// The empty PTE tables of one VMA, which rmap keeps.
void Mm::ReclaimTables(VirtRange range) {
  TlbGather gather(services_.frames, services_.heap, services_.tlbs, tlb_);
  for (VirtAddr addr = range.start(); addr < range.end();) {
    const PageTables::Descent descent = tables_.Descend(addr);
    if (descent.has_pte_table()) {
      (void)TryFreeEmptyPteTable(tables_, gather, descent.entry, addr);
    }
    addr = NextBoundary(descent.level, addr);
  }
  gather.Finish();
}

}  // namespace faultline
