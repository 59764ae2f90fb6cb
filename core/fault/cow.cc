// SPDX-License-Identifier: Apache-2.0
//
// Writes to pages whose entry forbids them (Linux: do_wp_page, wp_can_reuse_anon_folio,
// wp_page_copy). A page of a shared mapping, and an anonymous page that no other mm can see, become
// writable where they are; for all others the writer gets a copy.
//
// Protocol of the copy: a reference to the old folio, taken under the page-table lock, keeps its
// frame from coming back as something else, so an entry that still has its pfn is still about it.
// The old entry is cleared and the TLBs flushed before the new one is set (M22): there is no moment
// in which two CPUs of the mm see two pages. The old folio's references are dropped after that.
//
// Guarantee: once the new entry is visible, no access of the mm reads or writes the old page.
#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/fault/fault_context.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

bool ReuseAnon(const VmaView& view, Folio& folio);
void CountCopy(FaultTarget& target, const FolioRef& source);

/// What an entry says besides what the MMU writes into it.
Entry WithoutMmuBits(Entry entry) { return entry.Without(Entry::kAccessed | Entry::kDirty); }

}  // namespace

bool MakeWritableInPlace(FaultTarget& target, const VmaView& view, LockedPte& pte) {
  const Entry entry = pte.Load();
  MM_DCHECK(entry.present() && !entry.writable());
  if (entry.special()) return false;
  Folio& folio = target.frames.FolioOf(entry.pfn());
  if (view.Has(vma_flag::kShared)) {
    folio.Set(kFolioDirty);
  } else if (!ReuseAnon(view, folio)) {
    return false;
  }
  constexpr uint64_t kWritten = Entry::kWrite | Entry::kDirty | Entry::kAccessed;
  (void)pte.Modify(pte.index(), [](Entry now) { return now.With(kWritten); });
  return true;
}

Result<FolioRef> CopyOf(FaultTarget& target, const FolioRef& source, Gfp gfp) {
  Result<FolioRef> fresh = NewAnonFolio(target, gfp);
  if (!fresh.ok()) return fresh;
  if (source) {
    target.frames.Copy(**fresh, *source);
  } else {
    target.frames.Zero(**fresh);
  }
  return fresh;
}

bool CommitCopy(FaultTarget& target, const VmaView& view, LockedPte& pte, VirtAddr page, Entry seen,
                FolioRef fresh, const FolioRef& source) {
  if (WithoutMmuBits(pte.Load()) != WithoutMmuBits(seen)) return false;
  const VirtRange range(page, page + kPageSize);
  if (MutantOn(Mutant::kM22)) {
    InstallAnon(target, view, pte, page, std::move(fresh));
    target.tlbs.Flush(target.tlb, range);
  } else {
    // What the MMU set in the old entry dies with it: the page was read, and could not be written.
    (void)pte.GetAndClear(pte.index());
    target.tlbs.Flush(target.tlb, range);
    InstallAnon(target, view, pte, page, std::move(fresh));
  }
  CountCopy(target, source);
  if (source) source->RemoveMapping();
  return true;
}

namespace {

/// Makes an anonymous folio this mm's own if no other mm can see it. Under the page-table lock: the
/// only entry that maps it cannot be copied by a fork meanwhile.
bool ReuseAnon(const VmaView& view, Folio& folio) {
  if (folio.use() != FrameUse::kAnon) return false;
  if (folio.Has(kFolioAnonExclusive)) return true;
  if (folio.refcount() != 1 || folio.mapcount() != 1) return false;
  // The other sharers have gone. From now on the VMAs of this mm are the only place to look for it.
  folio.owner().anon_vma.Store(view.anon_vma, kRelaxed);  // relaxed: see Folio::Owner
  folio.Set(kFolioAnonExclusive);
  return true;
}

/// The mm maps one anonymous page more, and one page of the Mapping less if that was copied.
void CountCopy(FaultTarget& target, const FolioRef& source) {
  if (source && source->use() == FrameUse::kAnon) return;
  MmCounters& counters = target.tables.counters();
  counters.Add(MmCounter::kAnonPages, 1);
  if (source) counters.Add(CounterOf(*source), -1);
}

}  // namespace
}  // namespace faultline
