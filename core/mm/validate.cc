// SPDX-License-Identifier: Apache-2.0
//
// ValidateMm (V4; Linux: validate_mm and the checks that tools/testing/vma makes): every invariant
// of an mm's tree, VMAs, rmap links, page tables, counts and references. Runs after every test and
// at the end of every explored schedule; with --validate=each-release, the part that is true while
// other locks are held runs whenever mmap_lock is released.
#include <algorithm>
#include <map>
#include <vector>

#include "core/base/check.h"
#include "core/mm/mm_lock.h"
#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// What the VMAs of the tree add up to.
struct Totals {
  uint64_t vmas = 0;
  uint64_t pages = 0;
  uint64_t locked = 0;
  uint64_t committed = 0;
};

void CheckVma(const Mm& mm, Vma& vma, const MapleTree::Entry& entry) {
  MM_CHECK_EQ(vma.start().value(), entry.first);
  MM_CHECK_EQ(vma.end().value() - 1, entry.last);
  MM_CHECK(IsPageAligned(vma.start()) && IsPageAligned(vma.end()));
  MM_CHECK(vma.owner() == &mm && !vma.is_detached());
  MM_CHECK_EQ(static_cast<const ListNode<InMapping>&>(vma).is_linked(), vma.mapping() != nullptr);
  MM_CHECK(!static_cast<const ListNode<OnRemoval>&>(vma).is_linked());
  AnonVmas::Validate(vma);
}

Totals CheckVmas(const Mm& mm, MapleTree& tree) {
  Totals totals;
  for (uint64_t at = 0;;) {
    const MapleTree::Entry entry = tree.FindFrom(at);
    if (entry.value == nullptr) return totals;
    Vma& vma = *static_cast<Vma*>(entry.value);
    CheckVma(mm, vma, entry);
    ++totals.vmas;
    totals.pages += vma.pages();
    if (vma.Has(vma_flag::kLocked)) totals.locked += vma.pages();
    if (vma.Has(vma_flag::kAccount)) totals.committed += vma.pages();
    if (entry.last == MapleTree::kMaxIndex) return totals;
    at = entry.last + 1;
  }
}

/// Pages by kind, as the entries of the tables have them.
struct Mapped {
  int64_t anon = 0;
  int64_t file = 0;
  int64_t shmem = 0;
};

/// Checks every table and every leaf entry against the VMA that it lies in.
class TableChecker {
 public:
  TableChecker(MapleTree& tree, PageTables& tables) : tree_(tree), tables_(tables) {}

  Mapped Check() {
    tables_.ForEachTable([&](Folio& table, TableLevel level, VirtAddr first) {
      if (level != TableLevel::kPgd) CheckNotInHole(level, first);
      if (level == TableLevel::kPte) CheckLeaves(table, first);
    });
    return mapped_;
  }

 private:
  /// No table lies wholly inside a hole: free_pgtables would have missed it.
  void CheckNotInHole(TableLevel level, VirtAddr first) {
    const uint64_t span = uint64_t{1} << (ShiftOf(level) + 9);
    const MapleTree::Entry entry = tree_.FindFrom(first.value());
    MM_CHECK(entry.value != nullptr && entry.first < first.value() + span);
  }

  void CheckLeaves(Folio& table, VirtAddr first) {
    const TableWords& words = tables_.frames().Table(table);
    for (uint32_t i = 0; i < words.size(); ++i) {
      const Entry entry(words[i].Peek());
      if (!entry.none()) CheckLeaf(entry, first + i * kPageSize);
    }
  }

  void CheckLeaf(Entry entry, VirtAddr addr) {
    auto* vma = static_cast<Vma*>(tree_.Find(addr.value()));
    MM_CHECK(vma != nullptr);  // no entry in a hole
    if (entry.is_guard()) return;
    MM_CHECK(entry.present());
    if (entry.writable()) MM_CHECK(vma->Has(vma_flag::kWrite));
    if (entry.special()) {
      MM_CHECK(vma->is_anonymous() && !entry.writable());
      return;
    }
    Folio& folio = tables_.frames().FolioOf(entry.pfn());
    MM_CHECK_GE(folio.mapcount(), 1);
    MM_CHECK_GE(static_cast<int64_t>(folio.refcount()), int64_t{folio.mapcount()});
    if (folio.use() == FrameUse::kAnon) {
      CheckAnon(folio, entry, *vma, addr);
    } else {
      CheckFile(folio, *vma, addr);
    }
  }

  void CheckAnon(Folio& folio, Entry entry, const Vma& vma, VirtAddr addr) {
    ++mapped_.anon;
    MM_CHECK(vma.anon_vma() != nullptr && !vma.Has(vma_flag::kShared));
    MM_CHECK_EQ(folio.owner().index.Peek(), vma.IndexOf(addr).value());
    if (entry.writable()) MM_CHECK(folio.Has(kFolioAnonExclusive));
    if (folio.Has(kFolioAnonExclusive)) MM_CHECK_EQ(folio.mapcount(), 1);
  }

  void CheckFile(Folio& folio, const Vma& vma, VirtAddr addr) {
    MM_CHECK(folio.use() == FrameUse::kFile && vma.mapping() != nullptr);
    MM_CHECK(folio.owner().mapping.Peek() == vma.mapping());
    MM_CHECK_EQ(folio.owner().index.Peek(), vma.IndexOf(addr).value());
    ++(vma.mapping()->kind() == Mapping::Kind::kShmem ? mapped_.shmem : mapped_.file);
  }

  MapleTree& tree_;
  PageTables& tables_;
  Mapped mapped_;
};

}  // namespace

void Mm::ForEachMappedFolio(const std::function<void(Folio&)>& visit) {
  tables_.ForEachTable([&](Folio& table, TableLevel level, VirtAddr) {
    if (level != TableLevel::kPte) return;
    for (const Atomic<uint64_t>& word : services_.frames.Table(table)) {
      const Entry entry(word.Peek());
      if (entry.present() && !entry.special()) visit(services_.frames.FolioOf(entry.pfn()));
    }
  });
}

void Mm::Validate(Validation validation) {
  if (validation == Validation::kQuiescent) {
    MM_CHECK(!mmap_lock_.IsHeld() && !mmap_lock_.HasWaiters());
    MM_CHECK_EQ(sequence_.value() & 1, 0u);
  }
  tree_.Validate();
  const Totals totals = CheckVmas(*this, tree_);
  MM_CHECK_EQ(totals.vmas, map_count_);
  MM_CHECK_EQ(totals.pages, pages_.total);
  MM_CHECK_EQ(totals.locked, pages_.locked);
  MM_CHECK_EQ(totals.committed, pages_.committed);
  if (validation == Validation::kLocked) return;
  tables_.Validate();
  const Mapped mapped = TableChecker(tree_, tables_).Check();
  MM_CHECK_EQ(mapped.anon, counters_.Sum(MmCounter::kAnonPages));
  MM_CHECK_EQ(mapped.file, counters_.Sum(MmCounter::kFilePages));
  MM_CHECK_EQ(mapped.shmem, counters_.Sum(MmCounter::kShmemPages));
}

}  // namespace faultline
