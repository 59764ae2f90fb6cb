// SPDX-License-Identifier: Apache-2.0
//
// Anonymous pages (Linux: do_anonymous_page): from its first moment in a page table, a page belongs
// to the VMA's anon_vma and to this mm alone.
//
// Invariant (B28): no anonymous folio is mapped by a VMA without an anon_vma.
#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/fault/fault_context.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Result<FolioRef> NewAnonFolio(FaultTarget& target, Gfp gfp) {
  const Result<Folio*> folio = target.frames.Allocate(FrameUse::kAnon, gfp);
  if (!folio.ok()) return folio.error();
  return FolioRef(target.frames, **folio);
}

Result<FolioRef> NewZeroedAnonFolio(FaultTarget& target, Gfp gfp) {
  Result<FolioRef> folio = NewAnonFolio(target, gfp);
  if (folio.ok()) target.frames.Zero(**folio);
  return folio;
}

void InstallAnon(FaultTarget& target, const VmaView& view, LockedPte& pte, VirtAddr page,
                 FolioRef folio) {
  MM_DCHECK(view.anon_vma != nullptr || MutantOn(Mutant::kM10));
  Folio::Owner& owner = folio->owner();
  // Relaxed: nobody else can reach the folio; the entry that leads to it is stored with release.
  owner.anon_vma.Store(view.anon_vma, kRelaxed);
  owner.index.Store(view.IndexOf(page).value(), kRelaxed);
  folio->InitMapping(kFolioAnonExclusive);
  const Pfn pfn = target.frames.PfnOf(folio.Release());
  pte.Store(Entry::Of(pfn, WritableBits(view) | Entry::kDirty));
}

}  // namespace faultline
