// SPDX-License-Identifier: Apache-2.0
//
// Walking the tables, putting tables in, and locking a PTE table (Linux: mm/memory.c __pmd_alloc
// and siblings, pmd_install; mm/pgtable-generic.c __pte_offset_map_lock).
//
// Wire is the only place that makes an upper entry point to a table: under the lock of the table
// that the entry is in, if that is not stray, if the entry is still empty, and if the caller's
// predicate agrees, in this order. So nothing is wired into a table that is being taken down.
#include "core/pgtable/page_tables.h"

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
  MM_ASSIGN_OR_RETURN(SpareTable root, AllocTable(TableLevel::kPgd, Gfp::kKernel));
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
  return AllocPmd(addr, gfp, Always);
}

Result<EntryRef> PageTables::AllocPmd(VirtAddr addr, Gfp gfp, StillValid still_valid) {
  while (true) {
    // From the root each time: a table on the way may have become stray.
    const Descent descent = Descend(addr);
    if (descent.level == TableLevel::kPmd) return descent.entry;
    MM_ASSIGN_OR_RETURN(SpareTable fresh, AllocTable(Below(descent.level), gfp));
    const Wiring wiring = Wire(descent.entry, *fresh.get(), still_valid);
    if (wiring == Wiring::kInvalid) return Errno::kEagain;
    if (wiring == Wiring::kDone) (void)fresh.Release();
  }
}

Result<void> PageTables::AllocPte(EntryRef pmd, Gfp gfp, SpareTable* spare) {
  return AllocPte(pmd, gfp, spare, Always);
}

Result<void> PageTables::AllocPte(EntryRef pmd, Gfp gfp, SpareTable* spare,
                                  StillValid still_valid) {
  if (!pmd.Load().none()) return {};
  SpareTable own;
  if (spare == nullptr || !*spare) {
    MM_ASSIGN_OR_RETURN(own, AllocTable(TableLevel::kPte, gfp));
    spare = &own;
  }
  switch (Wire(pmd, *spare->get(), still_valid)) {
    case Wiring::kDone:
      (void)spare->Release();
      return {};
    case Wiring::kLost:
      return {};
    case Wiring::kStray:
    case Wiring::kInvalid:
      return Errno::kEagain;
  }
  MM_UNREACHABLE("a wiring without a name");
}

Result<SpareTable> PageTables::AllocSpare(Gfp gfp) { return AllocTable(TableLevel::kPte, gfp); }

Result<SpareTable> PageTables::AllocTable(TableLevel level, Gfp gfp) {
  MM_ASSIGN_OR_RETURN(Folio * table, frames_.Allocate(FrameUse::kTable, gfp));
  TableInfo& info = table->Emplace<TableInfo>();
  info.frames = &frames_;
  info.level = level;
  return SpareTable(frames_, *table);
}

PageTables::Wiring PageTables::Wire(EntryRef at, Folio& fresh, StillValid still_valid) {
  {
    const LockGuard guard(LockOf(*at.table), SubclassOf(*at.table));
    // Relaxed, both: under the lock that they are written under.
    if (InfoOf(*at.table).stray.Load(kRelaxed) != 0) return Wiring::kStray;
    if (at.slot->Load(kRelaxed) != 0) return Wiring::kLost;
    if (!still_valid()) return Wiring::kInvalid;
    // Release: the table's zeroes and TableInfo come first (B11). Pairs with EntryRef::Load.
    at.slot->Store(Entry::Of(frames_.PfnOf(fresh), kTableBits).raw(), kRelease);
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
    // Relaxed, both: whoever takes a table out writes them under its lock, which we hold.
    const bool unchanged = pmd.slot->Load(kRelaxed, where) == seen.raw();
    const bool stray = info.stray.Load(kRelaxed, where) != 0;
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
