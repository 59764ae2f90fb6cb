// SPDX-License-Identifier: Apache-2.0
//
// What operations do to the page tables of a range: zap, protect, copy at fork, move at mremap,
// guard markers, and giving tables back. One source file each; the last, free_tables.cc, is the
// only one that frees tables.
//
// All of them: the caller keeps the range's VMA stable (B8: mmap, VMA or rmap lock), holds no
// page-table lock, and the range is page-aligned and within one VMA unless said otherwise. Those
// that allocate tables may sleep, as may the end of a gather that frees synchronously. Entries are
// changed under the lock of their table.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/tlb_gather.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

// -- zap.cc ---------------------------------------------------------------------------------------

/// What to make of an upper entry that is read as empty without a lock. Only a task that marked its
/// VMAs in an mm whose faults validate has to ask under the lock: such a fault may have validated
/// before the mark and be about to fill the entry (M17). The other operations always ask.
enum class Holes : uint8_t { kAskUnderLock, kTrust };

/// What a zap does besides clearing present entries.
struct ZapOptions {
  /// Guard markers go, too: munmap and exit, not DONTNEED (Linux: ZAP_FLAG_DROP_MARKER).
  bool drop_markers = false;
  /// PTE tables that are empty afterwards and lie wholly inside the range are freed (B40a; Linux:
  /// PT_RECLAIM, DONTNEED).
  bool free_empty_tables = false;
  Holes holes = Holes::kAskUnderLock;
};
/// Clears the entries of `range`: folios lose a mapping and go to the gather, dirty bits move to
/// the folios, counters are kept. (Linux: unmap_page_range, zap_pte_range)
void ZapRange(PageTables& tables, TlbGather& gather, VirtRange range, ZapOptions options);

// -- protect.cc -----------------------------------------------------------------------------------

/// Gives the present entries of `range` the protection bits `leaf_bits` (see LeafBits), but never
/// makes one writable that was not: the next write fault does that. Flushes through the gather.
/// (Linux: change_protection)
void ProtectRange(PageTables& tables, TlbGather& gather, VirtRange range, uint64_t leaf_bits);

/// MADV_FREE: makes anonymous entries clean and old and marks their folios lazily free. (Linux:
/// madvise_free_pte_range)
void LazyFreeRange(PageTables& tables, TlbGather& gather, VirtRange range);

// -- copy.cc --------------------------------------------------------------------------------------

/// Copies the entries of `range` from a parent to a child at fork: anonymous pages are shared
/// write-protected on both sides, file pages shared as they are (`shared` mapping) or
/// write-protected, markers copied. Source changes are flushed by the caller's gather. ENOMEM: what
/// was copied so far stays in the child, for its teardown. (Linux: copy_page_range)
[[nodiscard]] Result<void> CopyRange(PageTables& to, PageTables& from, TlbGather& from_gather,
                                     VirtRange range, bool shared);

// -- move.cc --------------------------------------------------------------------------------------

/// Moves the entries of [from, from + length) to `to`, which has none; both page-table locks are
/// held for each table, with the flush inside (M20). Returns how many bytes were moved: less than
/// `length` if a table could not be allocated; nothing is lost then, and the caller moves
/// back. (Linux: move_page_tables)
[[nodiscard]] uint64_t MoveRange(PageTables& tables, TlbGather& gather, VirtAddr from, VirtAddr to,
                                 uint64_t length);

// -- guard.cc -------------------------------------------------------------------------------------

/// Sets guard markers in the whole of `range`, zapping what is there. ENOMEM leaves a prefix done.
/// (Linux: madvise_guard_install)
[[nodiscard]] Result<void> InstallGuards(PageTables& tables, TlbGather& gather, VirtRange range);
/// Clears the guard markers of `range`, and nothing else. (Linux: madvise_guard_remove)
void RemoveGuards(PageTables& tables, VirtRange range);

// -- free_tables.cc -------------------------------------------------------------------------------

/// Frees the tables that `range` leaves empty, at every level, but only those whose whole span lies
/// between `floor`, the end of the mapping before, and `ceiling`, the start of the next one; 0
/// stands for the ends of the space in both (Linux: free_pgd_range with its -1 arithmetic). The
/// range is zapped; no fault, rmap walk or lookup reaches it (B9), or late ones fail their
/// StillValid: so each table is taken out of the tree and marked stray, top-down, under its own
/// lock, before its entries are scanned. mmap_lock is held.
void FreeTables(PageTables& tables, TlbGather& gather, VirtRange range, VirtAddr floor,
                VirtAddr ceiling);

/// Frees the PTE table below `pmd` if it is empty: under the pmd's lock and the table's own,
/// checked again there, pmd cleared, deferred by RCU (B40a). True if it did. (Linux:
/// try_to_free_pte)
bool TryFreeEmptyPteTable(PageTables& tables, TlbGather& gather, EntryRef pmd, VirtAddr addr);

}  // namespace faultline
