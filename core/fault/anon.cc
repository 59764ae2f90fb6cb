// SPDX-License-Identifier: Apache-2.0
//
// Faults on untouched anonymous memory (Linux: do_anonymous_page). A read gets the zero page, by a
// special entry that counts nowhere; a write gets a folio of zeroes, which from its first moment
// belongs to the VMA's anon_vma and to this mm alone.
//
// Invariant (B28): no anonymous folio is mapped by a VMA without an anon_vma.
#include "core/base/check.h"
#include "core/fault/fault_context.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

FaultOutcome AnonRead(FaultTarget& target, const VmaView& view, const WalkState& walk) {
  LockedPte pte(target.tables, walk.pmd, walk.page);
  if (!pte || !pte.Load().none()) return 0;
  pte.Store(Entry::Of(target.frames.zero_pfn(), view.ReadOnlyBits() | Entry::kSpecial));
  return 0;
}

FaultOutcome AnonWrite(FaultTarget& target, const VmaView& view, const WalkState& walk) {
  Result<FolioRef> fresh = NewAnonFolio(target, view, walk.page);
  if (!fresh.ok()) return fault_bit::kOom;
  target.frames.Zero(**fresh);

  // Declared behind the folio: what loses the race is freed after the lock is dropped.
  LockedPte pte(target.tables, walk.pmd, walk.page);
  if (!pte || !pte.Load().none()) return 0;
  InstallAnon(target, view, pte, *std::move(fresh));
  target.tables.counters().Add(MmCounter::kAnonPages, 1);
  return 0;
}

Result<FolioRef> NewAnonFolio(FaultTarget& target, const VmaView& view, VirtAddr page) {
  MM_DCHECK(view.anon_vma != nullptr);
  const Result<Folio*> folio = target.frames.Allocate(FrameUse::kAnon, Gfp::kKernel);
  if (!folio.ok()) return folio.error();
  Folio::Owner& owner = (*folio)->owner();
  // Relaxed: nobody else can reach the folio; the entry that leads to it is stored with release.
  owner.anon_vma.Store(view.anon_vma, kRelaxed);
  owner.index.Store(view.IndexOf(page).value(), kRelaxed);
  (*folio)->Set(kFolioAnonExclusive);
  return FolioRef(target.frames, **folio);
}

void InstallAnon(FaultTarget& target, const VmaView& view, LockedPte& pte, FolioRef folio) {
  folio->AddMapping();
  const Pfn pfn = target.frames.PfnOf(folio.Release());
  pte.Store(Entry::Of(pfn, view.WritableBits() | Entry::kDirty));
}

}  // namespace faultline
