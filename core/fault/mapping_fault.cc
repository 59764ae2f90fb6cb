// SPDX-License-Identifier: Apache-2.0
//
// Faults on pages of a Mapping that are not mapped yet (Linux: do_read_fault, do_cow_fault,
// do_shared_fault, finish_fault, set_pte_range). Reads map the cached folio, after a try to map
// what is around it; a private write maps a copy at once; a shared write maps the folio dirty.
//
// Pages of a shared mapping that may be written are mapped writable from the first read on, as
// Linux does it where nobody has to be told of the first write (shmem): the dirty bit tells.
//
// B33: an entry that is no longer none, or a table that has gone, ends as kNoPage.
#include "core/fault/fault_context.h"
#include "core/pagecache/mapping.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

Result<FolioRef> FindCached(FaultTarget& target, const VmaView& view, VirtAddr page);
FaultOutcome InstallCached(FaultTarget& target, const WalkState& walk, FolioRef folio,
                           uint64_t bits);

}  // namespace

FaultOutcome MappingRead(FaultTarget& target, const VmaView& view, const WalkState& walk) {
  if (target.fault_around_bytes > kPageSize && MapAround(target, view, walk)) {
    return fault_bit::kNoPage;
  }
  if (IsBehindEnd(view, walk.page)) return fault_bit::kSigbus;
  Result<FolioRef> folio = FindCached(target, view, walk.page);
  if (!folio.ok()) return fault_bit::kOom;
  return InstallCached(target, walk, *std::move(folio), MappingReadBits(view));
}

FaultOutcome MappingSharedWrite(FaultTarget& target, const VmaView& view, const WalkState& walk) {
  Result<FolioRef> folio = FindCached(target, view, walk.page);
  if (!folio.ok()) return fault_bit::kOom;
  (*folio)->Set(kFolioDirty);
  return InstallCached(target, walk, *std::move(folio), view.WritableBits() | Entry::kDirty);
}

FaultOutcome MappingPrivateWrite(FaultTarget& target, const VmaView& view, const WalkState& walk) {
  Result<FolioRef> fresh = NewAnonFolio(target, view, walk.page);
  if (!fresh.ok()) return fault_bit::kOom;
  const Result<FolioRef> source = FindCached(target, view, walk.page);
  if (!source.ok()) return fault_bit::kOom;
  target.frames.Copy(**fresh, **source);

  LockedPte pte(target.tables, walk.pmd, walk.page);
  if (!pte || !pte.Load().none()) return fault_bit::kNoPage;
  InstallAnon(target, view, pte, *std::move(fresh));
  target.tables.counters().Add(MmCounter::kAnonPages, 1);
  return 0;
}

bool IsBehindEnd(const VmaView& view, VirtAddr page) {
  return view.IndexOf(page).value() >= view.mapping->page_count();
}

uint64_t MappingReadBits(const VmaView& view) {
  return view.Has(vma_flag::kShared) ? view.WritableBits() : view.ReadOnlyBits();
}

namespace {

Result<FolioRef> FindCached(FaultTarget& target, const VmaView& view, VirtAddr page) {
  const Result<Folio*> folio = view.mapping->FindOrCreate(view.IndexOf(page), Gfp::kKernel);
  if (!folio.ok()) return folio.error();
  return FolioRef(target.frames, **folio);
}

FaultOutcome InstallCached(FaultTarget& target, const WalkState& walk, FolioRef folio,
                           uint64_t bits) {
  LockedPte pte(target.tables, walk.pmd, walk.page);
  if (!pte || !pte.Load().none()) return fault_bit::kNoPage;
  Folio& mapped = folio.Release();
  mapped.AddMapping();
  pte.Store(Entry::Of(target.frames.PfnOf(mapped), bits));
  target.tables.counters().Add(CounterOf(mapped), 1);
  return 0;
}

}  // namespace
}  // namespace faultline
