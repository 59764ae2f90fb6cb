// SPDX-License-Identifier: Apache-2.0
//
// What the steps of a fault hand to each other, by types (Linux: struct vm_fault; B31). Internal to
// core/fault.
//
// FaultRequest is const all the way. VmaView (core/vma) is the VMA as it was when the fault began:
// steps read it and never the VMA, which may be changing under a fault that has to check. WalkState
// says where the entry is and what stood there. What a step gets ready without a page-table lock is
// owned by a FolioRef or a TableStock; what is not committed gives itself back. A locked entry is a
// LockedPte in the scope of its commit.
//
// Invariant of every step: it takes the page-table lock after all that may sleep, looks at the
// entry again under it, and, if it is not what it was, leaves it as it is: somebody else was first.
#pragma once

#include <cstdint>
#include <utility>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/fault/fault.h"
#include "core/folio/frame_allocator.h"
#include "core/pgtable/entry.h"
#include "core/pgtable/page_tables.h"
#include "core/vma/vma_flags.h"
#include "core/vma/vma_view.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Where the fault's entry is.
struct WalkState {
  VirtAddr page;  ///< the address, rounded down
  EntryRef pmd;   ///< set by the walk; says nothing about whether it points to a table
  Entry seen;     ///< what the leaf entry was, read without its lock: a hint
};

/// The bits of a young entry of the VMA that is not writable (Linux: vm_page_prot). x86-64's
/// protections have the accessed bit set; B36 keeps that for what is mapped around.
[[nodiscard]] inline uint64_t ReadOnlyBits(const VmaView& view) {
  return LeafBits(IsAccessible(view.flags), false, view.Has(vma_flag::kExec)) | Entry::kAccessed;
}
/// Of one that is, if the VMA may be written (Linux: pte_mkwrite).
[[nodiscard]] inline uint64_t WritableBits(const VmaView& view) {
  return ReadOnlyBits(view) | (view.Has(vma_flag::kWrite) ? Entry::kWrite : 0);
}

/// One reference of a folio; gives itself back.
class FolioRef {
 public:
  FolioRef() = default;
  /// Takes over a reference that the caller has.
  FolioRef(FrameAllocator& frames, Folio& folio) : frames_(&frames), folio_(&folio) {}
  ~FolioRef() {
    if (folio_ != nullptr) frames_->Put(*folio_);
  }
  FolioRef(FolioRef&& other) noexcept
      : frames_(other.frames_), folio_(std::exchange(other.folio_, nullptr)) {}
  FolioRef& operator=(FolioRef&& other) noexcept {
    std::swap(frames_, other.frames_);
    std::swap(folio_, other.folio_);
    return *this;
  }

  [[nodiscard]] explicit operator bool() const { return folio_ != nullptr; }
  [[nodiscard]] Folio& operator*() const { return *folio_; }
  [[nodiscard]] Folio* operator->() const { return folio_; }
  /// Gives the reference to the caller.
  [[nodiscard]] Folio& Release() { return *std::exchange(folio_, nullptr); }

 private:
  FrameAllocator* frames_ = nullptr;
  Folio* folio_ = nullptr;
};

// What follows are the parts of the steps that are the same under every scheme: what prepares takes
// no page-table lock; what commits gets the locked entry.

// -- mmu.cc ---------------------------------------------------------------------------------------

/// Whether the MMU lets an entry be used for the access.
[[nodiscard]] bool EntryAllows(Entry entry, AccessKind access);

// -- walk.cc --------------------------------------------------------------------------------------

/// The leaf entry without a lock; none if there is no PTE table. In an RCU section of its own: a
/// zap beside us may free the table (B40a).
[[nodiscard]] Entry ReadPte(FaultTarget& target, EntryRef pmd, VirtAddr page);

// -- anon.cc --------------------------------------------------------------------------------------

/// A folio for an anonymous page, contents unspecified. ENOMEM.
[[nodiscard]] Result<FolioRef> NewAnonFolio(FaultTarget& target, Gfp gfp);
/// The same, of zeroes.
[[nodiscard]] Result<FolioRef> NewZeroedAnonFolio(FaultTarget& target, Gfp gfp);
/// Maps a new folio, from now on a page of the view's anon_vma, into the locked entry, which is
/// none, and counts it.
void InstallAnon(FaultTarget& target, const VmaView& view, LockedPte& pte, VirtAddr page,
                 FolioRef folio);

// -- cow.cc ---------------------------------------------------------------------------------------

/// Makes the locked entry, which is present and not writable, writable in place if nobody else may
/// see the page, or everybody shall. True if it did.
[[nodiscard]] bool MakeWritableInPlace(FaultTarget& target, const VmaView& view, LockedPte& pte);
/// A folio with the contents of `source`, or of zeroes if that is empty. ENOMEM.
[[nodiscard]] Result<FolioRef> CopyOf(FaultTarget& target, const FolioRef& source, Gfp gfp);
/// Exchanges the page that the locked entry maps for `fresh`, its copy, if the entry is what it
/// was: `seen`. True if it did; the entry's reference of the old page, `source`, is the caller's
/// then.
[[nodiscard]] bool CommitCopy(FaultTarget& target, const VmaView& view, LockedPte& pte,
                              VirtAddr page, Entry seen, FolioRef fresh, const FolioRef& source);

// -- mapping_fault.cc, fault_around.cc: PTE table allocated, writes below the Mapping's end -------

/// Whether the page lies behind the end of the view's Mapping.
[[nodiscard]] bool IsBehindEnd(const VmaView& view, VirtAddr page);
/// The page of the view's Mapping, made if it is not there. ENOMEM.
[[nodiscard]] Result<FolioRef> FindCached(FaultTarget& target, const VmaView& view, VirtAddr page,
                                          Gfp gfp);
/// Maps it into the locked entry, which is none, and counts it.
void InstallCached(FaultTarget& target, LockedPte& pte, FolioRef folio, uint64_t bits);
/// Maps what the Mapping has of the pages around; true if that included the page itself.
[[nodiscard]] bool MapAround(FaultTarget& target, const VmaView& view, VirtAddr page,
                             LockedPte& pte);
/// The bits of a clean, young entry for a page of the view's Mapping.
[[nodiscard]] uint64_t MappingReadBits(const VmaView& view);

}  // namespace faultline
