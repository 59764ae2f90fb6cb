// SPDX-License-Identifier: Apache-2.0
//
// MoveRange: entries to other addresses of the same mm (Linux: mm/mremap.c move_page_tables,
// move_ptes). The folios keep their references and mapcounts. Old translations are flushed before
// either lock is dropped: whoever locks the new table next could otherwise take a page out and free
// it while it is still written to through its old address (M20; CVE-2018-18281).
#include <algorithm>
#include <optional>

#include "core/pgtable/range_ops.h"
#include "core/pgtable/range_walk.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Bytes from `addr` to the end of what its PTE table covers.
uint64_t ToTableEnd(VirtAddr addr) { return NextBoundary(TableLevel::kPmd, addr) - addr; }

/// Moves the entries of `bytes` bytes, which are in one PTE table on both sides; `from_pte` and
/// `to_pte` are locked for the first of them.
void MoveLocked(TlbGather& gather, LockedPte& from_pte, LockedPte& to_pte, uint32_t to_index,
                VirtRange from) {
  bool flush = false;
  uint32_t index = from_pte.index();
  for (VirtAddr addr = from.start(); addr < from.end(); addr += kPageSize, ++index, ++to_index) {
    if (from_pte.Get(index).none()) continue;
    const Entry entry = from_pte.GetAndClear(index);
    MM_DCHECK(to_pte.Get(to_index).none());
    to_pte.Set(to_index, entry);
    if (!entry.present()) continue;
    gather.NoteCleared(addr);
    flush = true;
  }
  if (flush) gather.FlushTlb();
}

enum class Moved : uint8_t { kYes, kTargetVanished };

Moved MovePart(PageTables& tables, TlbGather& gather, EntryRef from_pmd, VirtRange from,
               EntryRef to_pmd, VirtAddr to) {
  LockedPte from_pte(tables, from_pmd, from.start(), LockSubclass::kInner);
  if (!from_pte) return Moved::kYes;  // emptied and freed by a zapper: nothing to move
  const uint32_t to_index = IndexIn(TableLevel::kPte, to);
  if (from_pmd.slot == to_pmd.slot) {
    MoveLocked(gather, from_pte, from_pte, to_index, from);
    return Moved::kYes;
  }
  LockedPte to_pte(tables, to_pmd, to, LockSubclass::kInner2);
  if (!to_pte) return Moved::kTargetVanished;
  MoveLocked(gather, from_pte, to_pte, to_index, from);
  return Moved::kYes;
}

}  // namespace

uint64_t MoveRange(PageTables& tables, TlbGather& gather, VirtAddr from, VirtAddr to,
                   uint64_t length) {
  const VirtRange range(from, from + length);
  uint64_t moved = length;
  ForEachPteTable(tables, range, Holes::kAskUnderLock, [&](EntryRef from_pmd, VirtRange part) {
    const uint64_t offset = part.start() - from;
    const VirtAddr target = to + offset;
    const uint64_t bytes = std::min(part.bytes(), ToTableEnd(target));
    const Result<EntryRef> to_pmd = tables.AllocPmd(target, Gfp::kKernel);
    if (!to_pmd.ok() || !tables.AllocPte(*to_pmd, Gfp::kKernel).ok()) {
      moved = offset;
      return range.end();
    }
    const VirtRange piece(part.start(), part.start() + bytes);
    const Moved result = MovePart(tables, gather, from_pmd, piece, *to_pmd, target);
    return result == Moved::kYes ? piece.end() : piece.start();
  });
  return moved;
}

}  // namespace faultline
