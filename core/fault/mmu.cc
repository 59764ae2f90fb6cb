// SPDX-License-Identifier: Apache-2.0
//
// The MMU's translations; see mmu.h. Order of an access: take the CPU's TLB, look there, else walk
// and set accessed and dirty in the entry by compare-and-swap, remember, use, let go. A store needs
// a translation that is writable and known to be dirty, so the first store after a load walks
// again.
//
// Why an old translation does no harm: whoever takes an entry out, or rights from it, changes the
// entry first and flushes then. An access that read the entry before holds its CPU's TLB until it
// is over, and the flush waits for that; one that begins later finds the line gone and the new
// entry.
#include "core/fault/mmu.h"

#include "core/base/check.h"
#include "core/fault/fault_context.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

template <class Use>
bool WithTranslation(FaultTarget& target, VirtAddr addr, AccessKind access, const Use& use);
Entry WalkAndMark(FaultTarget& target, VirtAddr addr, AccessKind access);
uint64_t MarksOf(AccessKind access);

}  // namespace

bool MmuLoad(FaultTarget& target, VirtAddr addr, uint64_t& word) {
  return WithTranslation(target, addr, AccessKind::kRead, [&](Entry entry) {
    word = entry.special() ? 0
                           : target.frames.LoadWord(target.frames.FolioOf(entry.pfn()),
                                                    addr - PageAlignDown(addr));
  });
}

bool MmuStore(FaultTarget& target, VirtAddr addr, uint64_t word) {
  return WithTranslation(target, addr, AccessKind::kWrite, [&](Entry entry) {
    MM_DCHECK(!entry.special());
    target.frames.StoreWord(target.frames.FolioOf(entry.pfn()), addr - PageAlignDown(addr), word);
  });
}

bool MmuTouch(FaultTarget& target, VirtAddr addr, AccessKind access) {
  return WithTranslation(target, addr, access, [](Entry) {});
}

PageView ViewPage(FaultTarget& target, VirtAddr page) {
  const RcuGuard guard;
  const EntryRef pmd = target.tables.FindPmd(page);
  if (!pmd) return {};
  // Under the lock: a zap drops the folio only after it cleared the entry there.
  const LockedPte pte(target.tables, pmd, page);
  if (!pte) return {};
  const Entry entry = pte.Load();
  if (!entry.present()) return {.guard = entry.is_guard()};
  if (entry.special()) return {.present = true};
  Folio& folio = target.frames.FolioOf(entry.pfn());
  return {.present = true,
          .file_or_shared = folio.use() == FrameUse::kFile,
          .word = target.frames.LoadWord(folio, 0)};
}

namespace {

/// One access: use(entry) runs with a translation that allows it. False: none could be had.
template <class Use>
bool WithTranslation(FaultTarget& target, VirtAddr addr, AccessKind access, const Use& use) {
  const VirtPage page = PageOf(addr);
  TlbSet::Access cpu(target.tlbs, target.tlb);
  Entry entry = cpu.Find(page);
  const bool marked = (entry.raw() & MarksOf(access)) == MarksOf(access);
  if (!marked || !EntryAllows(entry, access)) {
    entry = WalkAndMark(target, addr, access);
    if (entry.none()) {
      cpu.Forget(page);  // a CPU drops a translation that it faulted on
      return false;
    }
    cpu.Insert(page, entry);
  }
  use(entry);
  return true;
}

/// The page walk: the leaf entry, marked as accessed, and dirty for a store; none if there is no
/// entry that allows the access.
Entry WalkAndMark(FaultTarget& target, VirtAddr addr, AccessKind access) {
  const RcuGuard guard;
  const EntryRef pte = target.tables.FindPte(addr);
  if (!pte) return {};
  // Acquire: pairs with the release stores of LockedPte; the page's contents come with the entry.
  uint64_t raw = pte.slot->Load(kAcquire);
  for (;;) {
    const Entry entry(raw);
    if (!EntryAllows(entry, access)) return {};
    const Entry marked = entry.With(MarksOf(access));
    if (marked == entry) return entry;
    // Release: the marks pair with whoever clears the entry. On failure as the load above.
    if (pte.slot->CompareExchange(raw, marked.raw(), kAcqRel, kAcquire)) return marked;
  }
}

uint64_t MarksOf(AccessKind access) {
  return Entry::kAccessed | (access == AccessKind::kWrite ? Entry::kDirty : uint64_t{0});
}

}  // namespace

bool EntryAllows(Entry entry, AccessKind access) {
  if (!entry.present() || entry.prot_none()) return false;
  switch (access) {
    case AccessKind::kRead:
      return true;
    case AccessKind::kWrite:
      return entry.writable();
    case AccessKind::kExec:
      return !entry.no_exec();
  }
  MM_UNREACHABLE("no such kind of access");
}

}  // namespace faultline
