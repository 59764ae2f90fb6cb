// SPDX-License-Identifier: Apache-2.0
//
// Walking the tables, putting tables in, and locking a PTE table (Linux: mm/memory.c __pmd_alloc
// and siblings, pmd_install; mm/pgtable-generic.c __pte_offset_map_lock).
//
// Wire is the only place that makes an upper entry point to a table: under the lock of the table
// that the entry is in, if that is not stray, if the entry is still empty, and if the caller's
// predicate agrees, in this order. So nothing is wired into a table that is being taken down.
#include "core/pgtable/page_tables.h"

#include "core/base/mutant.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Entries that point to tables permit everything; the leaf decides (Linux: _PAGE_TABLE).
constexpr uint64_t kTableBits = Entry::kUser | Entry::kWrite | Entry::kAccessed;

bool Always() { return true; }

}  // namespace

void SpareTable::Reset() {
  if (table_ != nullptr) frames_->Put(*std::exchange(table_, nullptr));
}

PageTables::PageTables(FrameAllocator& frames, MmCounters& counters, uint32_t levels)
    : frames_(frames), counters_(counters), levels_(levels) {
  MM_CHECK(levels == 4 || levels == 5);
}

PageTables::~PageTables() {
  if (root_ == nullptr) return;
  if constexpr (kDebugChecks) {
    for (const auto& word : frames_.Table(*root_)) MM_CHECK_EQ(word.Peek(), 0u);
  }
  counters_.Add(MmCounter::kTables, -1);
  frames_.Put(*root_);
}

Result<void> PageTables::Init() {
  MM_ASSIGN_OR_RETURN(SpareTable root, AllocSpare(TableLevel::kPgd, Gfp::kKernel));
  root_ = &root.Release();
  counters_.Add(MmCounter::kTables, 1);
  return {};
}

VirtAddr PageTables::task_size() const {
  return VirtAddr((uint64_t{1} << (levels_ == 5 ? 56 : 47)) - kPageSize);
}

// -- Walks ----------------------------------------------------------------------------------------

PageTables::Descent PageTables::Descend(VirtAddr addr) {
  Folio* table = root_;
  for (TableLevel level = root_span_level();; level = Below(level)) {
    const EntryRef entry = EntryIn(*table, level, addr);
    const Entry seen = entry.Load();
    if (level == TableLevel::kPmd || !seen.present()) return {entry, level, seen};
    table = &TableAt(seen);
  }
}

EntryRef PageTables::FindPmd(VirtAddr addr) {
  const Descent descent = Descend(addr);
  return descent.level == TableLevel::kPmd ? descent.entry : EntryRef();
}

EntryRef PageTables::FindPte(VirtAddr addr) {
  const Descent descent = Descend(addr);
  if (!descent.has_pte_table()) return {};
  return EntryIn(TableAt(descent.seen), TableLevel::kPte, addr);
}

Entry PageTables::Translate(VirtAddr addr) {
  const EntryRef pte = FindPte(addr);
  return pte ? pte.Load() : Entry();
}

// -- Allocation -----------------------------------------------------------------------------------

Result<EntryRef> PageTables::AllocPmd(VirtAddr addr, Gfp gfp) {
  while (true) {
    // From the root each time: a table on the way may have become stray.
    const Descent descent = Descend(addr);
    if (descent.level == TableLevel::kPmd) return descent.entry;
    MM_ASSIGN_OR_RETURN(SpareTable fresh, AllocSpare(Below(descent.level), gfp));
    (void)Wire(descent.entry, fresh, Always);
  }
}

Result<void> PageTables::AllocPte(EntryRef pmd, Gfp gfp) {
  if (!pmd.Load().none()) return {};
  MM_ASSIGN_OR_RETURN(SpareTable fresh, AllocSpare(TableLevel::kPte, gfp));
  const Wiring wiring = Wire(pmd, fresh, Always);
  MM_DCHECK(wiring == Wiring::kDone || wiring == Wiring::kLost);
  return {};
}

Result<SpareTable> PageTables::AllocSpare(TableLevel level, Gfp gfp) {
  MM_ASSIGN_OR_RETURN(Folio * table, frames_.Allocate(FrameUse::kTable, gfp));
  TableInfo& info = table->Emplace<TableInfo>();
  info.frames = &frames_;
  info.level = level;
  return SpareTable(frames_, *table);
}

PageTables::Wiring PageTables::Wire(EntryRef at, SpareTable& spare, StillValid still_valid) {
  MM_DCHECK(InfoOf(*spare.get()).level == Below(SpanLevelOf(*at.table)));
  {
    const LockGuard guard(LockOf(*at.table), SubclassOf(*at.table));
    if (!MutantOn(Mutant::kM1) && IsStrayLocked(*at.table)) return Wiring::kStray;
    // Relaxed: under the lock that it is written under.
    if (at.slot->Load(kRelaxed) != 0) return Wiring::kLost;
    if (!MutantOn(Mutant::kM1) && !still_valid()) return Wiring::kInvalid;
    // Release: the table's zeroes and TableInfo come first (B11). Pairs with EntryRef::Load.
    at.slot->Store(Entry::Of(frames_.PfnOf(spare.Release()), kTableBits).raw(), kRelease);
  }
  counters_.Add(MmCounter::kTables, 1);
  return Wiring::kDone;
}

// -- Locks ----------------------------------------------------------------------------------------

SpinLock<LockRank::kPageTable>& PageTables::LockOf(Folio& table) {
  TableInfo& info = InfoOf(table);
  return info.level >= TableLevel::kPud ? page_table_lock_ : info.lock;
}

LockSubclass PageTables::SubclassOf(Folio& table) {
  switch (InfoOf(table).level) {
    case TableLevel::kPte:
      return LockSubclass::kInner;
    case TableLevel::kPmd:
      return LockSubclass::kNested;
    default:
      return LockSubclass::kNormal;
  }
}

TableLevel PageTables::SpanLevelOf(Folio& table) const {
  return &table == root_ ? root_span_level() : InfoOf(table).level;
}

// The analysis cannot follow a lock that is found by walking. Covered by PteLockTest, and by
// lockdep, which sees every hold in the modelled build.
LockedPte::LockedPte(PageTables& tables, EntryRef pmd, VirtAddr addr, LockSubclass subclass,
                     SourceLoc where) ABSL_NO_THREAD_SAFETY_ANALYSIS
    : index_(IndexIn(TableLevel::kPte, addr)),
      where_(where) {
  if (!pmd) return;
  section_.emplace(where);
  while (true) {
    const Entry seen = pmd.Load(where);
    if (!seen.present() || seen.huge()) break;
    Folio& table = tables.TableAt(seen);  // not reused while the section lasts
    TableInfo& info = PageTables::InfoOf(table);
    info.lock.Lock(subclass, where);
    // Relaxed: whoever takes a table out writes it under the table's lock, which we hold.
    const bool unchanged = pmd.slot->Load(kRelaxed, where) == seen.raw();
    const bool stray = tables.IsStrayLocked(table);
    if (unchanged && !stray) {
      table_ = &table;
      slots_ = &tables.frames().Table(table);
      return;
    }
    info.lock.Unlock(where);
    if (unchanged) break;
  }
  section_.reset();
}

LockedPte::~LockedPte() ABSL_NO_THREAD_SAFETY_ANALYSIS {  // as the constructor
  if (table_ != nullptr) PageTables::InfoOf(*table_).lock.Unlock(where_);
}

// -- Checks ---------------------------------------------------------------------------------------

void PageTables::Validate() {
  int64_t tables = 0;
  ForEachTable([&](Folio& table, TableLevel level, VirtAddr) {
    MM_CHECK(table.use() == FrameUse::kTable);
    MM_CHECK_EQ(table.refcount(), 1u);
    MM_CHECK(InfoOf(table).level == level);
    MM_CHECK_EQ(InfoOf(table).stray.Peek(), 0);
    ++tables;
  });
  MM_CHECK_EQ(tables, counters_.Sum(MmCounter::kTables));
}

}  // namespace faultline
