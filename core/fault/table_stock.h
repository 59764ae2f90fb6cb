// SPDX-License-Identifier: Apache-2.0
//
// TableStock: the page tables that one fault has ready but not put in (Linux: vmf->prealloc_pte,
// and what seed 000 would add for the levels above; B32, A1, A2, A9). A table leaves the stock when
// it is wired; what is left at the end frees itself and is counted as waste.
//
// It also knows the policy by which its rung gets tables: the one chosen on the top rung; below,
// where faults may sleep, tables are allocated as the walk goes.
#pragma once

#include <array>

#include "core/base/build.h"
#include "core/fault/fault.h"
#include "core/pgtable/page_tables.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class TableStock {
 public:
  TableStock(FaultTarget& target, TableAlloc policy) : target_(target), policy_(policy) {}
  ~TableStock() { CountUnused(); }
  TableStock(const TableStock&) = delete;
  TableStock& operator=(const TableStock&) = delete;

  /// Which tables a fault may put in.
  enum class Levels : uint8_t { kAll, kPteOnly };
  /// A1, A2: allocates ahead, all of these levels or those that a look at the tables finds missing.
  /// Nothing under the other policies. No lock is held; may sleep. ENOMEM.
  [[nodiscard]] Result<void> Prepare(VirtAddr addr, Levels levels);
  /// Allocates a table of that level, which it has none of yet. ENOMEM.
  [[nodiscard]] Result<void> Add(TableLevel level, Gfp gfp);

  [[nodiscard]] bool Has(TableLevel level) { return static_cast<bool>(At(level)); }
  /// What a level has, to be wired; not for the root's.
  [[nodiscard]] SpareTable& At(TableLevel level) { return spares_[static_cast<size_t>(level)]; }
  [[nodiscard]] TableAlloc policy() const { return policy_; }

 private:
  void CountUnused();

  FaultTarget& target_;
  const TableAlloc policy_;
  std::array<SpareTable, 4> spares_;
};

}  // namespace faultline
