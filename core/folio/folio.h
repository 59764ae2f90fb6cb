// SPDX-License-Identifier: Apache-2.0
//
// Folio: what the machine knows about one page frame (Linux: struct page and struct folio in
// include/linux/mm_types.h; page tables lay struct ptdesc over it). 64 bytes for each frame, in one
// array indexed by Pfn, so that a frame's number and its Folio lead to each other by arithmetic.
//
// Ownership: a frame in use has references; whoever drops the last one frees it (FrameAllocator).
// Each page-table entry that maps the frame holds one reference and counts in `mapcount`. The last
// 40 bytes belong to whoever the frame is in use by: Owner for data, core/pgtable's description
// for tables, list links while it is free.
//
// Invariant: 0 <= mapcount <= refcount while in use; refcount 0 means free or on its way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/types.h"
#include "core/sync/atomic.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class AnonVma;
class Mapping;

/// What a frame is in use for.
enum class FrameUse : uint8_t {
  kFree,
  kReserved,  ///< the zero page: never freed, never counted
  kAnon,      ///< a page of anonymous memory
  kFile,      ///< a page of a Mapping
  kTable,     ///< a page table
  kCount
};

/// Bits of Folio::flags (Linux: page flags).
enum FolioFlag : uint32_t {
  kFolioDirty = 1u << 0,
  kFolioUptodate = 1u << 1,
  kFolioLazyFree = 1u << 2,       ///< MADV_FREE: may be dropped instead of swapped out
  kFolioAnonExclusive = 1u << 3,  ///< only one mm maps it, so a write needs no copy
  kFolioSwapBacked = 1u << 4,     ///< of a Mapping without a file: counts as shared memory
};

class Folio {
 public:
  Folio() = default;
  Folio(const Folio&) = delete;
  Folio& operator=(const Folio&) = delete;

  [[nodiscard]] FrameUse use() const { return use_; }

  // -- References --------------------------------------------------------------------------------

  /// A hint, unless the caller knows that nobody takes references meanwhile. Acquire: pairs with
  /// DropReferences, so who finds itself alone sees what earlier holders did to the page.
  [[nodiscard]] uint32_t refcount() const { return refcount_.Load(kAcquire); }
  /// One reference more; the caller has one, or a lock that keeps one alive.
  void Get(uint32_t count = 1) {
    // Relaxed: what makes the folio reachable orders its contents.
    const uint32_t before = refcount_.FetchAdd(count, kRelaxed);
    MM_DCHECK_NE(before, 0u);
  }
  /// Drops references; true if none is left, and then the frame is the caller's to free. Only for
  /// those who free: FrameAllocator::Put.
  [[nodiscard]] bool DropReferences(uint32_t count) {
    // Release: our use comes before the freeing. Acquire: the freeing after all uses.
    const uint32_t before = refcount_.FetchSub(count, kAcqRel);
    MM_DCHECK_GE(before, count);
    return before == count;
  }

  // -- Mappings ----------------------------------------------------------------------------------

  /// How many page-table entries map the frame. Changed under the lock of the table concerned; a
  /// hint without the locks of all.
  [[nodiscard]] int32_t mapcount() const { return mapcount_.Load(kRelaxed); }
  void AddMapping() { mapcount_.FetchAdd(1, kRelaxed); }  // relaxed: the page-table lock orders
  /// The first mapping of a page that nobody else can reach yet, which gets `flags` and no others.
  void InitMapping(uint32_t flags) {
    // Relaxed, both: the entry that leads here is stored with release.
    flags_.Store(flags, kRelaxed);
    mapcount_.Store(1, kRelaxed);
  }
  void RemoveMapping() {
    const int32_t before = mapcount_.FetchSub(1, kRelaxed);  // relaxed: as above
    MM_DCHECK_GT(before, 0);
  }

  // -- Flags and contents ------------------------------------------------------------------------

  [[nodiscard]] bool Has(FolioFlag flag) const { return (flags_.Load(kRelaxed) & flag) != 0; }
  void Set(FolioFlag flag) { flags_.FetchOr(flag, kRelaxed); }  // relaxed: a hint, or under the
  void Clear(FolioFlag flag) {
    flags_.FetchAnd(~flag, kRelaxed);
  }  // lock of the table that maps it

  /// The contents in `tag` mode (see frame_allocator.h). Racing simulated stores are legal.
  [[nodiscard]] Atomic<uint64_t>& tag() { return tag_; }

  // -- The owner of a data page ------------------------------------------------------------------

  /// For kAnon and kFile: whose page this is, and which page of it (Linux: page->mapping, index).
  /// Written by whoever allocated the frame before it is reachable; then constant, except that the
  /// last sharer of an anonymous page may move it to its own anon_vma under the page-table lock.
  struct Owner {
    Atomic<AnonVma*> anon_vma{nullptr};
    Atomic<Mapping*> mapping{nullptr};
    Atomic<uint64_t> index{0};  ///< PageIndex: pgoff of the page in its VMA or file
  };
  [[nodiscard]] Owner& owner() { return As<Owner>(); }

  /// The bytes of this frame's user, as a T that Emplace made.
  template <class T>
  [[nodiscard]] T& As() {
    return *std::launder(reinterpret_cast<T*>(user_));
  }
  template <class T>
  T& Emplace() {
    static_assert(sizeof(T) <= kUserBytes && alignof(T) <= 8);
    return *new (user_) T();
  }

 private:
  friend class FrameAllocator;
  friend class FrameMemory;
  friend class Buddy;

  // The modelled build may want wider locks and RCU heads.
  static constexpr size_t kUserBytes = kModelled ? 104 : 40;

  Atomic<uint32_t> refcount_{0};
  Atomic<int32_t> mapcount_{0};
  Atomic<uint32_t> flags_{0};
  // These three change while nobody else can reach the frame.
  FrameUse use_ = FrameUse::kFree;
  uint8_t block_ = 0;  // 1 + order of the buddy's free block that begins here, else 0; under
                       // the zone lock
  bool contents_dirty_ = false;  // its 4 KiB may be other than zero
  Atomic<uint64_t> tag_{0};
  alignas(8) std::byte user_[kUserBytes];
};
static_assert(kModelled || sizeof(Folio) == 64);

}  // namespace faultline
