// SPDX-License-Identifier: Apache-2.0
//
// Filling a TableStock before the fault begins, and what becomes of the rest.
#include "core/fault/table_stock.h"

#include <optional>

#include "core/base/mutant.h"
#include "core/folio/no_wait_scope.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// The level of the topmost table that is missing on the way to `addr`; nothing if all are there.
std::optional<TableLevel> TopmostMissing(PageTables& tables, VirtAddr addr) {
  const RcuGuard section;
  const PageTables::Descent descent = tables.Descend(addr);
  if (descent.seen.present()) return std::nullopt;
  return Below(descent.level);
}

}  // namespace

Result<void> TableStock::Prepare(VirtAddr addr, Levels levels) {
  TableLevel top = TableLevel::kPte;
  if (policy_ == TableAlloc::kPreallocAll) {
    if (levels == Levels::kAll) top = Below(target_.tables.SpanLevelOf(target_.tables.root()));
  } else if (policy_ == TableAlloc::kPreallocMissing) {
    const std::optional<TableLevel> missing = TopmostMissing(target_.tables, addr);
    if (!missing.has_value()) return {};
    // Below a missing upper table, its own would be of no use.
    if (levels == Levels::kPteOnly && *missing != TableLevel::kPte) return {};
    top = *missing;
  } else {
    return {};
  }
  for (TableLevel level = TableLevel::kPte;;
       level = static_cast<TableLevel>(static_cast<uint8_t>(level) + 1)) {
    if (!Has(level)) MM_TRY(Add(level, Gfp::kKernel));
    if (level == top) return {};
  }
}

Result<void> TableStock::Add(TableLevel level, Gfp gfp) {
  Result<SpareTable> table = target_.tables.AllocSpare(level, gfp);
  if (!table.ok()) {
    // A fault that must not wait will ask again.
    if (!NoWaitScope::IsInForce()) target_.stats.Count(FaultCounter::kTableFailures, 1);
    return table.error();
  }
  target_.stats.Count(FaultCounter::kTablesAllocated, 1);
  At(level) = *std::move(table);
  return {};
}

void TableStock::CountUnused() {
  for (SpareTable& spare : spares_) {
    if (!spare) continue;
    target_.stats.Count(FaultCounter::kTablesUnused, 1);
    if (MutantOn(Mutant::kM9)) (void)spare.Release();
  }
}

}  // namespace faultline
