// SPDX-License-Identifier: Apache-2.0
//
// Finding and making the pages of a Mapping, and its end; see mapping.h. Linux: filemap_get_folio
// and filemap_add_folio (mm/filemap.c), with i_pages as the lock of the index where Linux reads it
// under RCU alone.
//
// Invariant: a folio is in the index from the first FindOrCreate on, with its owner written and its
// contents zero before anyone finds it.
#include "core/pagecache/mapping.h"

#include <utility>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Result<Mapping*> Mapping::Create(const Options& options, FrameAllocator& frames, Heap& heap) {
  return heap.New<Mapping>(options, frames, heap);
}

void Mapping::Get() {
  // Relaxed: the reference that the caller relies on orders.
  const uint32_t before = refcount_.FetchAdd(1, kRelaxed);
  MM_DCHECK_NE(before, 0u);
}

void Mapping::Put() {
  // Release: our use comes before the freeing; acquire: the freeing after all uses.
  if (refcount_.FetchSub(1, kAcqRel) != 1) return;
  DropFolios();
  Rcu::Retire(rcu_, &AfterGracePeriod);
}

// -- Pages ----------------------------------------------------------------------------------------

Result<Folio*> Mapping::FindOrCreate(PageIndex index, Gfp gfp) {
  if (Folio* folio = Find(index)) return folio;
  MM_ASSIGN_OR_RETURN(Folio * fresh, NewFolio(index, gfp));
  Folio* folio = InsertOrFind(index, *fresh);
  if (folio != fresh) frames_.Put(*fresh);
  return folio;
}

Folio* Mapping::Find(PageIndex index) {
  const LockGuard guard(i_pages_);
  const auto it = folios_.find(index.value());
  if (it == folios_.end()) return nullptr;
  it->second->Get();
  return it->second;
}

uint64_t Mapping::resident_pages() const {
  const LockGuard guard(i_pages_);
  return folios_.size();
}

Result<Folio*> Mapping::NewFolio(PageIndex index, Gfp gfp) {
  MM_ASSIGN_OR_RETURN(Folio * folio, frames_.Allocate(FrameUse::kFile, gfp));
  frames_.Zero(*folio);
  // Relaxed, both: the index publishes them, under its lock.
  folio->owner().mapping.Store(this, kRelaxed);
  folio->owner().index.Store(index.value(), kRelaxed);
  folio->Set(kFolioUptodate);
  if (kind() == Kind::kShmem) folio->Set(kFolioSwapBacked);
  return folio;
}

/// Adds `folio` at `index`, unless another task has added one meanwhile. Returns what is there now,
/// with a reference for the caller; `folio` keeps the reference that it came with.
Folio* Mapping::InsertOrFind(PageIndex index, Folio& folio) {
  const LockGuard guard(i_pages_);
  Folio* there = folios_.try_emplace(index.value(), &folio).first->second;
  there->Get();
  return there;
}

// -- VMAs -----------------------------------------------------------------------------------------

void Mapping::Link(Vma& vma) {
  const WriteGuard guard(i_mmap_);
  vmas_.push_back(vma);
}

void Mapping::Unlink(Vma& vma) {
  const WriteGuard guard(i_mmap_);
  vmas_.erase(vma);
}

// -- The end --------------------------------------------------------------------------------------

/// Empties the index and drops its references.
void Mapping::DropFolios() {
  Index folios;
  {
    const LockGuard guard(i_pages_);
    folios.swap(folios_);
  }
  for (const auto& [index, folio] : folios) frames_.Put(*folio);
}

void Mapping::AfterGracePeriod(RcuHead* head) {
  auto* mapping = reinterpret_cast<Mapping*>(head);  // rcu_ is the first member
  mapping->heap_.Delete(mapping);
}

}  // namespace faultline
