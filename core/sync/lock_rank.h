// SPDX-License-Identifier: Apache-2.0
//
// The order of all locks, outermost first (rule B1; Linux: the lock-ordering comments at the top of
// mm/rmap.c and mm/filemap.c). Every lock class names its rank as a template argument; there is no
// "unranked". A blocking acquisition must go strictly down this list, or, within one rank, strictly
// up in subclass where the rank permits nesting. lockdep (lockdep.h) checks that at run time.
//
// Invariant: this table and the table in core/LOCKING.md are equal; tests/core/sync compares them.
// Adding a rank therefore edits LOCKING.md in the same commit (rule `rank-required`).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Numeric order is lock order: a smaller rank is taken first.
enum class LockRank : uint8_t {
  kInode,           ///< inode rwsem: truncate and write against each other
  kMmapLock,        ///< the mm's mmap_lock
  kVmaLock,         ///< per-VMA lock, read and write alike (B2, B3)
  kInvalidateLock,  ///< mapping invalidate_lock: page-cache fill against truncate
  kFolioLock,       ///< folio lock bit
  kIMmap,           ///< i_mmap rwsem: rmap of file pages
  kAnonVma,         ///< anon_vma rwsem: rmap of anonymous pages
  kPageTable,       ///< page_table_lock and the split locks of PMD and PTE tables
  kSwap,            ///< swap device and swap cache
  kMappingPrivate,  ///< mapping private lock
  kIPages,          ///< i_pages: a mapping's folio index
  kLruvec,          ///< LRU lists of a node and memcg
  kZone,            ///< buddy allocator of a zone
  kPerCpu,          ///< one CPU slot of per-CPU data
  kRegistry,        ///< lists of who exists: the mms of a machine, the tasks of an mm
  kHeap,            ///< object heaps and type-stable slabs
  kWaitQueue,       ///< a wait queue's list: wake-ups are legal under every lock above
  kTestOuter,       ///< for tests of the sync layer only
  kTestMiddle,      ///< for tests of the sync layer only
  kTestInner,       ///< for tests of the sync layer only
  kCount
};

inline constexpr int kLockRanks = static_cast<int>(LockRank::kCount);

/// Whether a holder may go to sleep, and with it whether taking the lock may.
enum class LockKind : uint8_t { kSleeping, kSpinning };

/// Whether two locks of one rank may be held at once.
enum class SameRank : uint8_t {
  kForbidden,   ///< never by a blocking acquisition
  kBySubclass,  ///< the inner one names a greater LockSubclass
  kUnderOuter,  ///< any number, while a lock of the rank just outside is held for write
};

/// The position of a lock among locks of its rank (Linux: the *_nested() lockdep annotations).
enum class LockSubclass : uint8_t {
  kNormal = 0,  ///< the parent's mmap_lock in fork; page_table_lock
  kNested = 1,  ///< the child's mmap_lock in fork; a PMD table's lock
  kInner = 2,   ///< a PTE table's lock
  kInner2 = 3,  ///< the second PTE table's lock in a move
};

struct LockRankInfo {
  LockRank rank;
  std::string_view name;        ///< as LOCKING.md, reports and statistics print it
  std::string_view linux_name;  ///< the Linux lock that it mirrors; "-" if it is ours alone
  LockKind kind;
  SameRank same_rank;
};

inline constexpr std::array<LockRankInfo, kLockRanks> kLockRankTable{{
    {LockRank::kInode, "inode", "inode->i_rwsem", LockKind::kSleeping, SameRank::kBySubclass},
    {LockRank::kMmapLock, "mmap_lock", "mm->mmap_lock", LockKind::kSleeping, SameRank::kBySubclass},
    {LockRank::kVmaLock, "vma_lock", "vma->vm_refcnt", LockKind::kSleeping, SameRank::kUnderOuter},
    {LockRank::kInvalidateLock, "invalidate_lock", "mapping->invalidate_lock", LockKind::kSleeping,
     SameRank::kForbidden},
    {LockRank::kFolioLock, "folio_lock", "PG_locked", LockKind::kSleeping, SameRank::kBySubclass},
    {LockRank::kIMmap, "i_mmap", "mapping->i_mmap_rwsem", LockKind::kSleeping,
     SameRank::kForbidden},
    {LockRank::kAnonVma, "anon_vma", "anon_vma->rwsem", LockKind::kSleeping, SameRank::kForbidden},
    {LockRank::kPageTable, "page_table", "mm->page_table_lock, ptl", LockKind::kSpinning,
     SameRank::kBySubclass},
    {LockRank::kSwap, "swap", "swap_info->lock", LockKind::kSpinning, SameRank::kForbidden},
    {LockRank::kMappingPrivate, "mapping_private", "mapping->i_private_lock", LockKind::kSpinning,
     SameRank::kForbidden},
    {LockRank::kIPages, "i_pages", "mapping->i_pages.xa_lock", LockKind::kSpinning,
     SameRank::kForbidden},
    {LockRank::kLruvec, "lruvec", "lruvec->lru_lock", LockKind::kSpinning, SameRank::kForbidden},
    {LockRank::kZone, "zone", "zone->lock", LockKind::kSpinning, SameRank::kForbidden},
    {LockRank::kPerCpu, "per_cpu", "local_lock", LockKind::kSpinning, SameRank::kForbidden},
    {LockRank::kRegistry, "registry", "mmlist_lock, tasklist_lock", LockKind::kSpinning,
     SameRank::kForbidden},
    {LockRank::kHeap, "heap", "slab node->list_lock", LockKind::kSpinning, SameRank::kForbidden},
    {LockRank::kWaitQueue, "wait_queue", "wait_queue_head->lock", LockKind::kSpinning,
     SameRank::kForbidden},
    {LockRank::kTestOuter, "test_outer", "-", LockKind::kSleeping, SameRank::kBySubclass},
    {LockRank::kTestMiddle, "test_middle", "-", LockKind::kSleeping, SameRank::kForbidden},
    {LockRank::kTestInner, "test_inner", "-", LockKind::kSpinning, SameRank::kForbidden},
}};

[[nodiscard]] constexpr const LockRankInfo& Info(LockRank rank) {
  return kLockRankTable[static_cast<size_t>(rank)];
}
[[nodiscard]] constexpr std::string_view Name(LockRank rank) { return Info(rank).name; }

namespace detail {
consteval bool RankTableIsInOrder() {
  for (int i = 0; i < kLockRanks; ++i) {
    if (static_cast<int>(kLockRankTable[static_cast<size_t>(i)].rank) != i) return false;
  }
  return true;
}
static_assert(RankTableIsInOrder(), "kLockRankTable must list the ranks in the enum's order");
}  // namespace detail

}  // namespace faultline
