// SPDX-License-Identifier: Apache-2.0
//
// CopyRange: a child's entries from its parent's at fork (Linux: mm/memory.c copy_page_range,
// copy_present_ptes). Both PTE tables are locked, the child's first; the child's tables are
// allocated before. Invariant: afterwards no anonymous page is writable in either mm, and none is
// exclusive.
#include <array>

#include "core/pgtable/range_ops.h"
#include "core/pgtable/range_walk.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

enum class MappingKind : uint8_t { kPrivate, kShared };

/// What the child gets for the parent's present entry (Linux: __copy_present_ptes). Old: the child
/// has not touched it. Clean, if shared: the parent's entry, or the file, knows what is dirty.
Entry ChildEntry(Entry parent, MappingKind kind) {
  if (kind == MappingKind::kShared) return parent.Without(Entry::kAccessed | Entry::kDirty);
  return parent.Without(Entry::kAccessed | Entry::kWrite);
}

class TableCopier {
 public:
  TableCopier(PageTables& to, PageTables& from, TlbGather& gather, MappingKind kind)
      : to_(to), from_(from), gather_(gather), kind_(kind) {}

  /// Copies `part` of the PTE table below `pmd`. Returns where to go on.
  [[nodiscard]] Result<VirtAddr> Copy(EntryRef pmd, VirtRange part) {
    MM_ASSIGN_OR_RETURN(const EntryRef child_pmd, to_.AllocPmd(part.start(), Gfp::kKernel));
    MM_TRY(to_.AllocPte(child_pmd, Gfp::kKernel));
    LockedPte child(to_, child_pmd, part.start(), LockSubclass::kInner);
    if (!child) return part.start();  // freed again by an rmap walker: once more
    LockedPte parent(from_, pmd, part.start(), LockSubclass::kInner2);
    if (!parent) return part.end();
    copied_ = {};
    uint32_t index = parent.index();
    for (VirtAddr addr = part.start(); addr < part.end(); addr += kPageSize, ++index) {
      CopyEntry(child, parent, index, addr);
    }
    for (size_t i = 0; i < copied_.size(); ++i) {
      if (copied_[i] != 0) to_.counters().Add(static_cast<MmCounter>(i), copied_[i]);
    }
    return part.end();
  }

 private:
  void CopyEntry(LockedPte& child, LockedPte& parent, uint32_t index, VirtAddr addr) {
    const Entry entry = parent.Get(index);
    if (entry.none()) return;
    MM_DCHECK(child.Get(index).none());
    if (!entry.present()) {
      child.Set(index, entry);
      return;
    }
    if (kind_ == MappingKind::kPrivate && entry.writable()) {
      parent.Modify(index, [](Entry e) { return e.Without(Entry::kWrite); });
      gather_.NoteCleared(addr);
    }
    if (!entry.special()) ShareFolio(from_.frames().FolioOf(entry.pfn()));
    child.Set(index, ChildEntry(parent.Get(index), kind_));
  }

  void ShareFolio(Folio& folio) {
    if (folio.Has(kFolioAnonExclusive)) folio.Clear(kFolioAnonExclusive);
    folio.Get();
    folio.AddMapping();
    ++copied_[static_cast<size_t>(CounterOf(folio))];
  }

  PageTables& to_;
  PageTables& from_;
  TlbGather& gather_;
  const MappingKind kind_;
  std::array<int64_t, static_cast<size_t>(MmCounter::kCount)> copied_{};
};

}  // namespace

Result<void> CopyRange(PageTables& to, PageTables& from, TlbGather& from_gather, VirtRange range,
                       bool shared) {
  TableCopier copier(to, from, from_gather, shared ? MappingKind::kShared : MappingKind::kPrivate);
  Result<void> result;
  ForEachPteTable(from, range, Holes::kAskUnderLock, [&](EntryRef pmd, VirtRange part) {
    const Result<VirtAddr> next = copier.Copy(pmd, part);
    if (next.ok()) return *next;
    result = next.error();
    return range.end();
  });
  return result;
}

}  // namespace faultline
