// SPDX-License-Identifier: Apache-2.0
//
// What the steps of a fault hand to each other, by types (Linux: struct vm_fault; B31). Internal to
// core/fault.
//
// FaultRequest is const all the way. VmaView is a copy of the VMA's fields: steps read it and never
// the VMA, whose fields may be changing for a fault that has to check afterwards. WalkState says
// where the entry is and what stood there. Prepared owns what was got ready without a page-table
// lock; what is not committed gives itself back. A locked entry is a LockedPte in its step's scope.
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
#include "core/vma/vma.h"
#include "core/vma/vma_flags.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The VMA as it was when the fault began.
struct VmaView {
  explicit VmaView(const Vma& vma)
      : start(vma.start()),
        end(vma.end()),
        flags(vma.flags()),
        pgoff(vma.pgoff()),
        mapping(vma.mapping()),
        anon_vma(vma.anon_vma()) {}

  [[nodiscard]] bool Has(VmaFlags any) const { return (flags & any) != 0; }
  [[nodiscard]] PageIndex IndexOf(VirtAddr page) const {
    return pgoff + ((page - start) >> kPageShift);
  }
  /// The bits of a young entry that is not, or is, writable (Linux: vm_page_prot, pte_mkwrite).
  /// x86-64's protections have the accessed bit set; B36 keeps that for what is mapped around.
  [[nodiscard]] uint64_t ReadOnlyBits() const {
    return LeafBits(IsAccessible(flags), false, Has(vma_flag::kExec)) | Entry::kAccessed;
  }
  [[nodiscard]] uint64_t WritableBits() const {
    return ReadOnlyBits() | (Has(vma_flag::kWrite) ? Entry::kWrite : 0);
  }

  VirtAddr start;
  VirtAddr end;
  VmaFlags flags;
  PageIndex pgoff;
  Mapping* mapping;
  AnonVma* anon_vma;  ///< set by the fault itself when it needs one
};

/// Where the fault's entry is.
struct WalkState {
  VirtAddr page;  ///< the address, rounded down
  EntryRef pmd;   ///< always there; says nothing about whether it points to a table
  Entry seen;     ///< what the leaf entry was, read without its lock: a hint
};

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

/// What a fault got ready before the lock.
struct Prepared {
  FolioRef fresh;   ///< the folio that shall be mapped
  FolioRef source;  ///< what it is a copy of; empty: of zeroes
};

// -- mmu.cc ---------------------------------------------------------------------------------------

/// Whether the MMU lets an entry be used for the access.
[[nodiscard]] bool EntryAllows(Entry entry, AccessKind access);

// -- anon.cc --------------------------------------------------------------------------------------

[[nodiscard]] FaultOutcome AnonRead(FaultTarget& target, const VmaView& view,
                                    const WalkState& walk);
[[nodiscard]] FaultOutcome AnonWrite(FaultTarget& target, const VmaView& view,
                                     const WalkState& walk);
/// A folio for the page, owned by the view's anon_vma; contents unspecified. May sleep.
[[nodiscard]] Result<FolioRef> NewAnonFolio(FaultTarget& target, const VmaView& view,
                                            VirtAddr page);
/// Maps a new folio into the locked entry, which is none, and counts it.
void InstallAnon(FaultTarget& target, const VmaView& view, LockedPte& pte, FolioRef folio);

// -- cow.cc ---------------------------------------------------------------------------------------

/// Makes the locked entry, which is present and not writable, writable in place if nobody else may
/// see the page, or everybody shall. True if it did.
[[nodiscard]] bool MakeWritableInPlace(FaultTarget& target, const VmaView& view, LockedPte& pte);
/// Gives the page a copy of its own. `seen` is what its entry was under the lock, before the copy.
[[nodiscard]] FaultOutcome CopyOnWrite(FaultTarget& target, const VmaView& view,
                                       const WalkState& walk, Entry seen, FolioRef source);

// -- mapping_fault.cc, fault_around.cc: PTE table allocated, writes below the Mapping's end -------

/// Whether the page lies behind the end of the view's Mapping.
[[nodiscard]] bool IsBehindEnd(const VmaView& view, VirtAddr page);
/// A page behind the end gets kSigbus, after what is around it was mapped.
[[nodiscard]] FaultOutcome MappingRead(FaultTarget& target, const VmaView& view,
                                       const WalkState& walk);
[[nodiscard]] FaultOutcome MappingSharedWrite(FaultTarget& target, const VmaView& view,
                                              const WalkState& walk);
[[nodiscard]] FaultOutcome MappingPrivateWrite(FaultTarget& target, const VmaView& view,
                                               const WalkState& walk);
/// Maps what the Mapping has of the pages around; true if that included the page itself.
[[nodiscard]] bool MapAround(FaultTarget& target, const VmaView& view, const WalkState& walk);
/// The bits of a clean, young entry for a page of the view's Mapping.
[[nodiscard]] uint64_t MappingReadBits(const VmaView& view);

}  // namespace faultline
