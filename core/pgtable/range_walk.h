// SPDX-License-Identifier: Apache-2.0
//
// Private to core/pgtable: goes over the PTE tables of a range (Linux: walk_pgd_range and the
// nested loops of mm/memory.c, which are one loop from the root here). A missing table of any level
// is one step, however much it spans. Precondition: what range_ops.h asks of its callers, so that
// PMD tables and those above do not vanish; PTE tables may.
#pragma once

#include <algorithm>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/base/types.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Whether the entry that `descent` ended at points to nothing, as far as `holes` wants to know.
[[nodiscard]] inline bool IsHole(PageTables& tables, const PageTables::Descent& descent,
                                 Holes holes) {
  if (descent.has_pte_table()) return false;
  if (holes == Holes::kTrust || MutantOn(Mutant::kM17) || descent.seen.huge()) return true;
  Folio& table = *descent.entry.table;
  const LockGuard guard(tables.LockOf(table), PageTables::SubclassOf(table));
  return descent.entry.slot->Load(kRelaxed) == 0;  // relaxed: under the lock
}

/// Calls visit(EntryRef pmd, VirtRange part) for each PTE table of `range`, where `part` is what of
/// the range the table covers. It returns the address to go on from: part.end(), or less to be
/// called again, or range.end() to stop.
template <class Visit>
void ForEachPteTable(PageTables& tables, VirtRange range, Holes holes, const Visit& visit) {
  for (VirtAddr addr = range.start(); addr < range.end();) {
    const PageTables::Descent descent = tables.Descend(addr);
    const VirtAddr end = std::min(NextBoundary(descent.level, addr), range.end());
    if (descent.has_pte_table()) {
      addr = visit(descent.entry, VirtRange(addr, end));
    } else if (IsHole(tables, descent, holes)) {
      addr = end;
    }
  }
}

}  // namespace faultline
