// SPDX-License-Identifier: Apache-2.0
//
// The only file that frees page tables (Linux: mm/memory.c free_pgtables, free_pgd_range and below;
// mm/pt_reclaim.c). To free one is: its entry in the parent cleared under the parent's lock,
// `stray` set under its own, both in one hold, then into the gather, which flushes and retires it.
//
// Top-down, unlike Linux: a table is stray before its entries are looked at, so that a fault which
// validated before the writer's mark has wired its table by then, and is seen, or finds the table
// stray (M17). For the same reason entries are read under the lock of their table. Guarantee: a
// table whose span holds an address outside of (floor, ceiling) is not touched.
#include <algorithm>
#include <optional>

#include "core/base/mutant.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Takes the child at `at` out of the tree. The lock of at's table is held.
void DetachLocked(PageTables& tables, EntryRef at, Folio& child) {
  std::optional<LockGuard<SpinLock<LockRank::kPageTable>>> own;
  auto& lock = tables.LockOf(child);
  // The entries of two upper tables share one lock.
  if (&lock != &tables.LockOf(*at.table)) own.emplace(lock, PageTables::SubclassOf(child));
  // Release: a walker that finds the entry empty without a lock knows of the gather at work on it
  // (TlbGather). Pairs with EntryRef::Load.
  at.slot->Store(0, kRelease);
  PageTables::InfoOf(child).stray.Store(1,
                                        kRelaxed);  // relaxed: under the lock that it is read under
}

/// Both locks are held, so nobody fills an entry meanwhile: one look.
bool IsEmpty(PageTables& tables, Folio& table) {
  const AtomicStep step(LockDetail::kAll, OpKind::kLoad, &table, SourceLoc::Current());
  for (const auto& word : tables.frames().Table(table)) {
    if (word.Load(kRelaxed) != 0) return false;  // relaxed: under the table's lock
  }
  return true;
}

class TableFreer {
 public:
  TableFreer(PageTables& tables, TlbGather& gather, VirtAddr floor, VirtAddr ceiling)
      : tables_(tables), gather_(gather), floor_(floor), ceiling_(ceiling) {}

  /// Frees what may go below `table`, whose entries from `part` are looked at. `level` tells what
  /// an entry spans.
  void FreeBelow(Folio& table, TableLevel level, VirtRange part) {
    if (level == TableLevel::kPte) return;
    for (VirtAddr addr = part.start(); addr < part.end();) {
      const Child child = NextChild(table, level, {addr, part.end()});
      if (child.table == nullptr) return;
      FreeBelow(*child.table, Below(level), child.part);
      if (child.detached) Retire(*child.table, child.part.start());
      addr = child.part.end();
    }
  }

 private:
  struct Child {
    Folio* table = nullptr;  ///< null: there are no more
    VirtRange part;          ///< what of the range it covers
    bool detached = false;
  };

  /// Finds the first child of `table` in `part` and takes it out if it may go.
  Child NextChild(Folio& table, TableLevel level, VirtRange part) {
    auto& words = tables_.frames().Table(table);
    if (MutantOn(Mutant::kM17) && LooksEmpty(words, level, part)) return {};
    const LockGuard guard(tables_.LockOf(table), PageTables::SubclassOf(table));
    for (VirtAddr addr = part.start(); addr < part.end();) {
      const VirtAddr end = std::min(NextBoundary(level, addr), part.end());
      const EntryRef at{&table, &words[IndexIn(level, addr)]};
      const Entry entry(at.slot->Load(kRelaxed));  // relaxed: under the lock
      if (entry.present() && !entry.huge()) {
        Folio& child = tables_.TableAt(entry);
        const bool goes = MayGo(level, addr);
        if (goes) DetachLocked(tables_, at, child);
        return {&child, {addr, end}, goes};
      }
      addr = end;
    }
    return {};
  }

  /// Mutant M17 believes what it reads without the table's lock.
  static bool LooksEmpty(const TableWords& words, TableLevel level, VirtRange part) {
    for (VirtAddr addr = part.start(); addr < part.end(); addr = NextBoundary(level, addr)) {
      if (words[IndexIn(level, addr)].Load(kAcquire) != 0) return false;  // pairs with Wire
    }
    return true;
  }

  /// Whether what an entry at `level` spans around `addr` lies between floor and ceiling. Minus one
  /// makes a ceiling of 0 the end of the space.
  [[nodiscard]] bool MayGo(TableLevel level, VirtAddr addr) const {
    const uint64_t span = uint64_t{1} << ShiftOf(level);
    const uint64_t first = addr.value() & ~(span - 1);
    return first >= floor_.value() && first + (span - 1) <= ceiling_.value() - 1;
  }

  void Retire(Folio& table, VirtAddr addr) {
    if constexpr (kDebugChecks) {
      for (const auto& word : tables_.frames().Table(table)) MM_CHECK_EQ(word.Peek(), 0u);
    }
    tables_.counters().Add(MmCounter::kTables, -1);
    gather_.AddTable(table, addr);
  }

  PageTables& tables_;
  TlbGather& gather_;
  const VirtAddr floor_;
  const VirtAddr ceiling_;
};

}  // namespace

void FreeTables(PageTables& tables, TlbGather& gather, VirtRange range, VirtAddr floor,
                VirtAddr ceiling) {
  MM_DCHECK(floor <= range.start() && range.end().value() - 1 <= ceiling.value() - 1);
  if (range.empty()) return;
  TableFreer freer(tables, gather, floor, ceiling);
  freer.FreeBelow(tables.root(), tables.SpanLevelOf(tables.root()), range);
}

bool TryFreeEmptyPteTable(PageTables& tables, TlbGather& gather, EntryRef pmd, VirtAddr addr) {
  Folio* table = nullptr;
  {
    const LockGuard pmd_guard(tables.LockOf(*pmd.table), PageTables::SubclassOf(*pmd.table));
    const Entry entry(pmd.slot->Load(kRelaxed));  // relaxed: under the lock
    if (!entry.present() || entry.huge()) return false;
    table = &tables.TableAt(entry);
    const LockGuard guard(tables.LockOf(*table), PageTables::SubclassOf(*table));
    if (!IsEmpty(tables, *table)) return false;
    // As in DetachLocked, but the emptiness has to be known under both locks.
    pmd.slot->Store(0, kRelease);
    PageTables::InfoOf(*table).stray.Store(1, kRelaxed);
  }
  tables.counters().Add(MmCounter::kTables, -1);
  gather.AddTable(*table, addr);
  return true;
}

}  // namespace faultline
