// SPDX-License-Identifier: Apache-2.0
//
// Mapping: the cached pages of a file or of shared anonymous memory (Linux: struct address_space).
// This is the minimal one: every page that was ever asked for stays resident, there is no I/O and
// no eviction. The page cache proper comes with the issue on files and swap.
//
// Locks: i_pages guards the index of folios, i_mmap the VMAs that map it; the two are never held
// together, and a folio is allocated under neither. Each folio in the index has one reference of
// the Mapping's. References to the Mapping: one for each VMA and for each handle; the last Put
// frees its folios, and itself after a grace period. Who still finds it then, through a VMA under
// RCU alone, finds it empty; a folio that it adds goes with the Mapping.
#pragma once

#include <cstdint>
#include <string>

#include <absl/base/thread_annotations.h>
#include <absl/container/btree_map.h>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/base/result.h"
#include "core/folio/frame_allocator.h"
#include "core/sync/sync.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Mapping {
 public:
  enum class Kind : uint8_t { kFile, kShmem };

  struct Options {
    Kind kind = Kind::kFile;
    // NOLINTNEXTLINE(readability-redundant-member-init): GCC wants it to be left out at will
    std::string name = {};  ///< as /proc/PID/maps shows it
    uint64_t inode = 0;     ///< likewise
    uint64_t bytes = 0;     ///< size; faults behind the last page get SIGBUS
  };

  /// With one reference, the caller's. `frames` and `heap` outlive it and its grace period.
  [[nodiscard]] static Result<Mapping*> Create(const Options& options, FrameAllocator& frames,
                                               Heap& heap);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  /// One reference more; the caller has one, or a lock that keeps one alive.
  void Get();
  /// Drops a reference. Any context.
  void Put();

  [[nodiscard]] Kind kind() const { return options_.kind; }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] uint64_t inode() const { return options_.inode; }
  /// The number of pages: faults at or behind this index get SIGBUS.
  [[nodiscard]] uint64_t page_count() const {
    return (options_.bytes >> kPageShift) + (IsPageAligned(options_.bytes) ? 0 : 1);
  }

  /// The folio at `index`, zero-filled on first use, with a reference for the caller. ENOMEM if
  /// there is no frame. May sleep with Gfp::kKernel.
  [[nodiscard]] Result<Folio*> FindOrCreate(PageIndex index, Gfp gfp) ABSL_LOCKS_EXCLUDED(i_pages_);
  /// The folio at `index` if it is there, with a reference for the caller; else null. Any context.
  [[nodiscard]] Folio* Find(PageIndex index) ABSL_LOCKS_EXCLUDED(i_pages_);
  /// Pages in the index.
  [[nodiscard]] uint64_t resident_pages() const ABSL_LOCKS_EXCLUDED(i_pages_);

  /// Adds a VMA to, or takes it off, the list of those that map it (Linux: vma_interval_tree_insert
  /// under i_mmap_lock_write). The VMA's own reference is the caller's business. May sleep.
  void Link(Vma& vma) ABSL_LOCKS_EXCLUDED(i_mmap_);
  void Unlink(Vma& vma) ABSL_LOCKS_EXCLUDED(i_mmap_);
  [[nodiscard]] RwSem<LockRank::kIMmap>& i_mmap() ABSL_LOCK_RETURNED(i_mmap_) { return i_mmap_; }
  /// The VMAs that map it, in the order of Link.
  [[nodiscard]] const IntrusiveList<Vma, InMapping>& vmas() const
      ABSL_SHARED_LOCKS_REQUIRED(i_mmap_) {
    return vmas_;
  }

 private:
  friend class Heap;  // makes it
  using Index = absl::btree_map<uint64_t, Folio*>;

  Mapping(const Options& options, FrameAllocator& frames, Heap& heap)
      : frames_(frames), heap_(heap), options_(options) {}
  ~Mapping() { DropFolios(); }

  [[nodiscard]] Result<Folio*> NewFolio(PageIndex index, Gfp gfp);
  [[nodiscard]] Folio* InsertOrFind(PageIndex index, Folio& folio) ABSL_LOCKS_EXCLUDED(i_pages_);
  void DropFolios() ABSL_LOCKS_EXCLUDED(i_pages_);
  static void AfterGracePeriod(RcuHead* head);

  RcuHead rcu_;  // first: the callback gets its address
  Atomic<uint32_t> refcount_{1};
  FrameAllocator& frames_;
  Heap& heap_;
  const Options options_;
  mutable RwSem<LockRank::kIMmap> i_mmap_;
  IntrusiveList<Vma, InMapping> vmas_ ABSL_GUARDED_BY(i_mmap_);
  mutable SpinLock<LockRank::kIPages> i_pages_;
  Index folios_ ABSL_GUARDED_BY(i_pages_);
};

}  // namespace faultline
