// SPDX-License-Identifier: Apache-2.0
//
// ProtectRange and LazyFreeRange: change present entries in place (Linux: mm/mprotect.c
// change_pte_range; mm/madvise.c madvise_free_pte_range). Each change is a compare-and-swap, which
// loses no accessed or dirty bit that the MMU sets meanwhile. Invariant: neither makes an entry
// present, empty or writable.
#include "core/pgtable/range_ops.h"
#include "core/pgtable/range_walk.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr uint64_t kReplaced = Entry::kProtNone | Entry::kNoExec;

Entry Protected(Entry entry, uint64_t leaf_bits) {
  const uint64_t taken = (leaf_bits & Entry::kWrite) == 0 ? kReplaced | Entry::kWrite : kReplaced;
  return entry.Without(taken).With(leaf_bits & kReplaced);
}

/// Changes the present entries of `range` to what change(Entry) makes of them, and notes those that
/// it made different. An entry is asked about first, to save the exchange where nothing changes.
template <class Change>
void ChangeRange(PageTables& tables, TlbGather& gather, VirtRange range, Holes holes,
                 const Change& change) {
  ForEachPteTable(tables, range, holes, [&](EntryRef pmd, VirtRange part) {
    LockedPte pte(tables, pmd, part.start());
    if (!pte) return part.end();
    uint32_t index = pte.index();
    for (VirtAddr addr = part.start(); addr < part.end(); addr += kPageSize, ++index) {
      const Entry entry = pte.Get(index);
      if (!entry.present() || change(entry) == entry) continue;
      pte.Modify(index, change);
      gather.NoteCleared(addr);
    }
    return part.end();
  });
}

}  // namespace

void ProtectRange(PageTables& tables, TlbGather& gather, VirtRange range, uint64_t leaf_bits) {
  ChangeRange(tables, gather, range, Holes::kAskUnderLock,
              [leaf_bits](Entry entry) { return Protected(entry, leaf_bits); });
}

void LazyFreeRange(PageTables& tables, TlbGather& gather, VirtRange range) {
  FrameAllocator& frames = tables.frames();
  // Follows no write protocol (B40a), so there is no mark after which a hole would have to be one.
  ForEachPteTable(tables, range, Holes::kTrust, [&](EntryRef pmd, VirtRange part) {
    LockedPte pte(tables, pmd, part.start());
    if (!pte) return part.end();
    uint32_t index = pte.index();
    for (VirtAddr addr = part.start(); addr < part.end(); addr += kPageSize, ++index) {
      const Entry entry = pte.Get(index);
      if (!entry.present() || entry.special()) continue;
      Folio& folio = frames.FolioOf(entry.pfn());
      // Another mm that maps the page has not said that it is done with it.
      if (folio.use() != FrameUse::kAnon || folio.mapcount() != 1) continue;
      pte.Modify(index, [](Entry e) { return e.Without(Entry::kDirty | Entry::kAccessed); });
      folio.Clear(kFolioDirty);
      folio.Set(kFolioLazyFree);
      gather.NoteCleared(addr);
    }
    return part.end();
  });
}

}  // namespace faultline
