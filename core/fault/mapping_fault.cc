// SPDX-License-Identifier: Apache-2.0
//
// Pages of a Mapping (Linux: filemap_fault, set_pte_range): finding the cached folio and mapping
// it. Reads map it, after a try to map what is around it; a private write maps a copy at once; a
// shared write maps it dirty.
//
// Pages of a shared mapping that may be written are mapped writable from the first read on, as
// Linux does it where nobody has to be told of the first write (shmem): the dirty bit tells.
#include "core/fault/fault_context.h"
#include "core/pagecache/mapping.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool IsBehindEnd(const VmaView& view, VirtAddr page) {
  return view.IndexOf(page).value() >= view.mapping->page_count();
}

uint64_t MappingReadBits(const VmaView& view) {
  return view.Has(vma_flag::kShared) ? WritableBits(view) : ReadOnlyBits(view);
}

Result<FolioRef> FindCached(FaultTarget& target, const VmaView& view, VirtAddr page, Gfp gfp) {
  const Result<Folio*> folio = view.mapping->FindOrCreate(view.IndexOf(page), gfp);
  if (!folio.ok()) return folio.error();
  return FolioRef(target.frames, **folio);
}

void InstallCached(FaultTarget& target, LockedPte& pte, FolioRef folio, uint64_t bits) {
  Folio& mapped = folio.Release();
  mapped.AddMapping();
  pte.Store(Entry::Of(target.frames.PfnOf(mapped), bits));
  target.tables.counters().Add(CounterOf(mapped), 1);
}

}  // namespace faultline
