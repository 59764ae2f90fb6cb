// SPDX-License-Identifier: Apache-2.0
//
// The page tables of one mm: a tree of real 512-entry tables in simulated frames, walked without
// locks and changed under split locks (Linux: mm/memory.c, mm/pgtable-generic.c; rules B8-B11,
// B30, B31, B37, B38).
//
// Locks: the entries of the root and of P4D and PUD tables (those that point to PUD and PMD tables)
// are written under page_table_lock; the entries of a PMD table under that table's own lock, as
// those of a PTE table. Tables are allocated outside of these locks, published inside if the entry
// is still empty, and freed by the loser (B10). A table's zeroes are visible before the
// pointer to it: a release store (B11), paired with the acquire load of every step down.
//
// Tables are freed by free_tables.cc alone, through RCU; a walk without mmap or VMA lock stays
// inside one RCU section. Every entry to a PTE table locks it and then reads the pmd again (B37).
// Invariant: every table but the root is pointed to by one present entry, or is stray.
// Guarantee: of two tasks that fill one empty upper entry, both go on with the same table.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include <absl/functional/function_ref.h>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/folio/frame_allocator.h"
#include "core/pgtable/entry.h"
#include "core/pgtable/mm_counters.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What is kept about a table, in its frame's Folio (Linux: struct ptdesc). An RcuHead, for a table
/// that is retired by itself.
struct TableInfo : RcuHead {
  FrameAllocator* frames = nullptr;     ///< where the table came from and goes back to
  SpinLock<LockRank::kPageTable> lock;  ///< guards the entries, at kPmd and kPte
  TableLevel level = TableLevel::kPte;  ///< constant; the root says kPgd, with four levels, too
  /// Written under the table's lock (LockOf), read reliably under it; not read otherwise. Set when
  /// the table leaves the tree, before its entries are scanned: whoever locks a stray table starts
  /// again from the root.
  Atomic<uint8_t> stray{0};
};
static_assert(kModelled || sizeof(TableInfo) <= 40);

/// Which count of an mm a present entry that leads to `folio` is part of (Linux: mm_counter).
[[nodiscard]] inline MmCounter CounterOf(const Folio& folio) {
  if (folio.use() == FrameUse::kAnon) return MmCounter::kAnonPages;
  return folio.Has(kFolioSwapBacked) ? MmCounter::kShmemPages : MmCounter::kFilePages;
}

/// An entry and the table it is in. Null where there is no such table.
struct EntryRef {
  Folio* table = nullptr;
  Atomic<uint64_t>* slot = nullptr;
  [[nodiscard]] explicit operator bool() const { return slot != nullptr; }
  [[nodiscard]] Entry Load(SourceLoc where = SourceLoc::Current()) const {
    return Entry(slot->Load(kAcquire, where));  // pairs with the release that published a table
  }
};

/// A table that was allocated ahead and is not in the tree; frees itself unless it is used
/// (Linux: vmf->prealloc_pte).
class SpareTable {
 public:
  SpareTable() = default;
  SpareTable(FrameAllocator& frames, Folio& table) : frames_(&frames), table_(&table) {}
  ~SpareTable() { Reset(); }
  SpareTable(SpareTable&& other) noexcept
      : frames_(other.frames_), table_(std::exchange(other.table_, nullptr)) {}
  SpareTable& operator=(SpareTable&& other) noexcept {
    Reset();
    frames_ = other.frames_;
    table_ = std::exchange(other.table_, nullptr);
    return *this;
  }
  [[nodiscard]] explicit operator bool() const { return table_ != nullptr; }
  /// Gives the table to the caller.
  [[nodiscard]] Folio& Release() { return *std::exchange(table_, nullptr); }
  [[nodiscard]] Folio* get() const { return table_; }

 private:
  void Reset();
  FrameAllocator* frames_ = nullptr;
  Folio* table_ = nullptr;
};

class PageTables;

/// A locked PTE table and one entry of it (Linux: pte_offset_map_lock to pte_unmap_unlock). Inside
/// an RCU section of its own from before the pmd is read. Empty if there was no PTE table there;
/// the caller then has nothing to do or starts again, and the section is over at once.
///
/// Order of two: of one mm, in a move, the source kInner and the target kInner2; at fork, the
/// child's kInner and the parent's kInner2. Both kinds of task hold mmap_lock of the mm for write.
class [[nodiscard]] LockedPte {
 public:
  /// Locks the table that `pmd`, which may be empty, points to, for `addr`. Reads the pmd again
  /// under the lock and tries anew if it changed.
  LockedPte(PageTables& tables, EntryRef pmd, VirtAddr addr,
            LockSubclass subclass = LockSubclass::kInner, SourceLoc where = SourceLoc::Current());
  ~LockedPte();
  LockedPte(const LockedPte&) = delete;
  LockedPte& operator=(const LockedPte&) = delete;

  [[nodiscard]] explicit operator bool() const { return slots_ != nullptr; }
  [[nodiscard]] Folio& table() const { return *table_; }
  /// The entry of the address that it was locked for.
  [[nodiscard]] Entry Load() const { return Get(index_); }
  void Store(Entry entry) { Set(index_, entry); }
  [[nodiscard]] uint32_t index() const { return index_; }

  /// Entry `index` (0 to 511) of the table.
  [[nodiscard]] Entry Get(uint32_t index) const {
    return Entry(At(index).Load(kRelaxed));  // relaxed: under the table's lock
  }
  /// The first entry from `index` to before `end` that is not none; `end` if there is none. One
  /// look: nobody but the holder fills an entry.
  [[nodiscard]] uint32_t NextUsed(uint32_t index, uint32_t end,
                                  SourceLoc where = SourceLoc::Current()) const {
    const AtomicStep step(LockDetail::kAll, OpKind::kLoad, slots_, where);
    while (index != end && Get(index).none()) ++index;
    return index;
  }
  /// Sets an entry that the MMU cannot be changing: it was not present.
  void Set(uint32_t index, Entry entry) {
    // Release: what the entry leads to comes first. Pairs with the MMU's walk.
    At(index).Store(entry.raw(), kRelease);
  }
  /// Takes the entry out; accessed and dirty bits that the MMU set until then are in the result.
  [[nodiscard]] Entry GetAndClear(uint32_t index) {
    return Entry(At(index).Exchange(0, kAcqRel));  // the MMU sets bits by compare-and-swap
  }
  /// Changes a present entry to what `change` makes of it, losing no bit that the MMU sets
  /// meanwhile. Returns the entry before.
  template <class Change>
  Entry Modify(uint32_t index, const Change& change) {
    uint64_t before = At(index).Load(kRelaxed);  // relaxed: the exchange checks it
    while (!At(index).CompareExchange(before, change(Entry(before)).raw(), kAcqRel, kRelaxed)) {
    }
    return Entry(before);
  }

 private:
  [[nodiscard]] Atomic<uint64_t>& At(uint32_t index) const { return (*slots_)[index]; }

  std::optional<RcuGuard> section_;  // first: it outlasts the lock
  Folio* table_ = nullptr;
  TableWords* slots_ = nullptr;
  uint32_t index_ = 0;
  [[no_unique_address]] SourceLoc where_;
};

class PageTables {
 public:
  /// `levels` is 4 or 5. `frames` and `counters` outlive the tables.
  PageTables(FrameAllocator& frames, MmCounters& counters, uint32_t levels);
  /// Every table but the root was freed.
  ~PageTables();
  PageTables(const PageTables&) = delete;
  PageTables& operator=(const PageTables&) = delete;

  /// Allocates the root. ENOMEM leaves nothing behind.
  [[nodiscard]] Result<void> Init();

  [[nodiscard]] FrameAllocator& frames() { return frames_; }
  [[nodiscard]] MmCounters& counters() { return counters_; }
  [[nodiscard]] uint32_t levels() const { return levels_; }
  /// The first address behind what user space may map: 2^47 - 4096, or 2^56 - 4096 (TASK_SIZE).
  [[nodiscard]] VirtAddr task_size() const;
  [[nodiscard]] Folio& root() { return *root_; }

  // -- Walks: inside an RCU section, or with an mmap, VMA or rmap lock held
  // ------------------------

  /// The pmd entry for `addr`; empty if a table above is missing.
  [[nodiscard]] EntryRef FindPmd(VirtAddr addr);
  /// How far down the tables go for an address: the entry in the PMD table, or the first one on the
  /// way there that points to nothing.
  struct Descent {
    EntryRef entry;
    TableLevel level;  ///< of the table that `entry` is in, for its span: kP4d at a folded root
    Entry seen;        ///< what the entry held
    [[nodiscard]] bool has_pte_table() const {
      return level == TableLevel::kPmd && seen.present() && !seen.huge();
    }
  };
  [[nodiscard]] Descent Descend(VirtAddr addr);
  /// The leaf entry as the MMU finds it: none if a table is missing. Takes no lock.
  [[nodiscard]] Entry Translate(VirtAddr addr);
  /// The leaf entry's place for the MMU's compare-and-swap; empty if a table is missing.
  [[nodiscard]] EntryRef FindPte(VirtAddr addr);

  // -- Allocation --------------------------------------------------------------------------------
  // AllocPmd and AllocPte: with mmap_lock held (B8). Wire: with that, a VMA lock, or a predicate.
  // None under a page-table lock; with Gfp::kKernel what allocates may sleep.

  /// The pmd entry for `addr`, with the tables above allocated where they are missing. ENOMEM:
  /// those already allocated stay, as in Linux, and are freed with the range.
  [[nodiscard]] Result<EntryRef> AllocPmd(VirtAddr addr, Gfp gfp);
  /// Makes sure that `pmd` points to a PTE table.
  [[nodiscard]] Result<void> AllocPte(EntryRef pmd, Gfp gfp);
  /// A table of `level`, for later use by Wire. ENOMEM.
  [[nodiscard]] Result<SpareTable> AllocSpare(TableLevel level, Gfp gfp);

  /// What became of an attempt to put a table in.
  enum class Wiring : uint8_t {
    kDone,
    kLost,     ///< the entry is filled: another task was faster
    kStray,    ///< the table that the entry is in has left the tree
    kInvalid,  ///< the predicate says no
  };
  using StillValid = absl::FunctionRef<bool()>;
  /// Makes the empty entry point to `spare`, which is of the level below, unless something forbids
  /// it; only then it keeps its table. `still_valid` is asked under the lock of the table that the
  /// entry is in, right before the write.
  [[nodiscard]] Wiring Wire(EntryRef at, SpareTable& spare, StillValid still_valid);
  /// Whether Wire and LockedPte look at the stray flag (A11). Without it, who holds no lock relies
  /// on its predicate alone. While nobody uses the tables.
  void SetStrayChecks(bool on) { checks_stray_ = on; }
  [[nodiscard]] bool IsStrayLocked(Folio& table) const {
    // Relaxed: under the lock that it is written under.
    return checks_stray_ && InfoOf(table).stray.Load(kRelaxed) != 0;
  }

  // -- Checks and dumps: nobody changes the tables meanwhile -------------------------------------

  /// Visits every table, from the root down: visit(Folio& table, TableLevel, VirtAddr first address
  /// that it covers).
  template <class Visit>
  void ForEachTable(const Visit& visit) {
    if (root_ != nullptr) VisitTables(*root_, TableLevel::kPgd, VirtAddr(0), visit);
  }
  /// Aborts if a table is stray, is not of its place's level, or is not counted.
  void Validate();

  // -- For the files that implement range_ops.h --------------------------------------------------

  /// The lock that guards writing an entry of `table`, and the subclass that it is taken with.
  [[nodiscard]] SpinLock<LockRank::kPageTable>& LockOf(Folio& table);
  [[nodiscard]] static LockSubclass SubclassOf(Folio& table);
  [[nodiscard]] static TableInfo& InfoOf(Folio& table) { return table.As<TableInfo>(); }
  /// The level whose bits of an address select an entry of `table`: kP4d for a folded root.
  [[nodiscard]] TableLevel SpanLevelOf(Folio& table) const;
  /// The table that a present entry of an upper level points to.
  [[nodiscard]] Folio& TableAt(Entry entry) { return frames_.FolioOf(entry.pfn()); }
  /// mm->page_table_lock: guards the entries of the root and of P4D and PUD tables.
  [[nodiscard]] SpinLock<LockRank::kPageTable>& page_table_lock() { return page_table_lock_; }

 private:
  [[nodiscard]] EntryRef EntryIn(Folio& table, TableLevel level, VirtAddr addr) {
    return {&table, &frames_.Table(table)[IndexIn(level, addr)]};
  }
  /// The level whose address bits select an entry of the root.
  [[nodiscard]] TableLevel root_span_level() const {
    return levels_ == 5 ? TableLevel::kPgd : TableLevel::kP4d;
  }

  template <class Visit>
  void VisitTables(Folio& table, TableLevel level, VirtAddr start, const Visit& visit) {
    visit(table, level, start);
    if (level == TableLevel::kPte) return;
    const TableLevel span = SpanLevelOf(table);
    for (uint64_t i = 0; i < frames_.Table(table).size(); ++i) {
      const Entry entry(frames_.Table(table)[i].Peek());
      if (!entry.present() || entry.huge()) continue;
      VisitTables(TableAt(entry), Below(span), start + (i << ShiftOf(span)), visit);
    }
  }

  FrameAllocator& frames_;
  MmCounters& counters_;
  uint32_t levels_;
  bool checks_stray_ = true;
  Folio* root_ = nullptr;  // constant after Init
  // Apart from what every walk reads.
  alignas(kCacheLinePad) SpinLock<LockRank::kPageTable> page_table_lock_;
};

}  // namespace faultline
