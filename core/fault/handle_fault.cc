// SPDX-License-Identifier: Apache-2.0
//
// The table of contents of a fault (Linux: __handle_mm_fault, handle_pte_fault, do_fault in
// mm/memory.c): upper tables, what stands in the entry, an anon_vma where an anonymous page will be
// made, the PTE table last (B30), then one step for each kind of fault.
//
// The entry is first read without its lock, which only decides what has to be prepared; each step
// decides again under the lock. Nothing here asks which lock keeps the VMA stable.
#include "core/base/check.h"
#include "core/fault/fault.h"
#include "core/fault/fault_context.h"
#include "core/pagecache/mapping.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

FaultOutcome PresentFault(FaultTarget& target, const VmaView& view, const FaultRequest& request,
                          const WalkState& walk);
FaultOutcome FillEntry(FaultTarget& target, const VmaView& view, const FaultRequest& request,
                       const WalkState& walk);
Entry ReadPte(FaultTarget& target, EntryRef pmd, VirtAddr page);

/// Whether there is nothing to do but to refuse: behind the end of the Mapping. A read there that
/// maps what is around it does so first, as do_read_fault does, and finds out by itself.
bool IsBusError(FaultTarget& target, const VmaView& view, const FaultRequest& request,
                VirtAddr page) {
  if (view.mapping == nullptr || !IsBehindEnd(view, page)) return false;
  return request.access == AccessKind::kWrite || target.fault_around_bytes == kPageSize;
}

/// Whether the fault will leave an anonymous page, which needs an anon_vma to be found by.
bool WantsAnonPage(const VmaView& view, const FaultRequest& request) {
  return request.access == AccessKind::kWrite && !view.Has(vma_flag::kShared);
}

}  // namespace

bool AccessAllowed(VmaFlags flags, AccessKind access) {
  switch (access) {
    case AccessKind::kRead:
      return IsAccessible(flags);
    case AccessKind::kWrite:
      return (flags & vma_flag::kWrite) != 0;
    case AccessKind::kExec:
      return (flags & vma_flag::kExec) != 0;
  }
  MM_UNREACHABLE("no such kind of access");
}

FaultOutcome HandleFault(FaultTarget& target, Vma& vma, const FaultRequest& request) {
  VmaView view(vma);
  MM_DCHECK(view.start <= request.addr && request.addr < view.end);
  MM_DCHECK(AccessAllowed(view.flags, request.access));

  const VirtAddr page = PageAlignDown(request.addr);
  const Result<EntryRef> pmd = target.tables.AllocPmd(page, Gfp::kKernel);
  if (!pmd.ok()) return fault_bit::kOom;
  const WalkState walk{.page = page, .pmd = *pmd, .seen = ReadPte(target, *pmd, page)};
  if (walk.seen.is_guard()) return fault_bit::kSigsegv;

  if (view.anon_vma == nullptr && WantsAnonPage(view, request)) {
    if (!PrepareAnonVma(target, vma).ok()) return fault_bit::kOom;
    view.anon_vma = vma.anon_vma();
  }
  if (walk.seen.present()) return PresentFault(target, view, request, walk);

  if (IsBusError(target, view, request, page)) return fault_bit::kSigbus;
  if (const Result<void> table = target.tables.AllocPte(walk.pmd, Gfp::kKernel); !table.ok()) {
    // EAGAIN: the pmd's table has left the tree; the access is repeated from the root.
    return table.error() == Errno::kEagain ? FaultOutcome{0} : fault_bit::kOom;
  }
  return FillEntry(target, view, request, walk);
}

bool IsMappedFor(FaultTarget& target, const FaultRequest& request) {
  const RcuGuard guard;
  const EntryRef pmd = target.tables.FindPmd(request.addr);
  if (!pmd) return false;
  const LockedPte pte(target.tables, pmd, request.addr);
  if (!pte) return false;
  return EntryAllows(pte.Load(), request.access);
}

namespace {

/// The entry is there: either it forbids the write, or it has come to allow the access, or it is
/// older than the VMA's protection.
FaultOutcome PresentFault(FaultTarget& target, const VmaView& view, const FaultRequest& request,
                          const WalkState& walk) {
  const bool write = request.access == AccessKind::kWrite;
  // What the VMA allows and the entry may still refuse. Only ever loosened: taking rights away is
  // mprotect's, which flushes.
  const uint64_t stale =
      Entry::kProtNone | (view.Has(vma_flag::kExec) ? Entry::kNoExec : uint64_t{0});
  FolioRef source;
  Entry seen;
  {
    LockedPte pte(target.tables, walk.pmd, walk.page);
    if (!pte || !pte.Load().present()) return 0;
    const Entry before = pte.Modify(pte.index(), [&](Entry entry) {
      const uint64_t dirty = write && entry.writable() ? Entry::kDirty : uint64_t{0};
      return entry.Without(stale).With(Entry::kAccessed | dirty);
    });
    if (!write || before.writable()) return 0;
    if (MakeWritableInPlace(target, view, pte)) return 0;
    seen = pte.Load();
    if (!seen.special()) {
      Folio& folio = target.frames.FolioOf(seen.pfn());
      folio.Get();  // the entry's reference keeps it alive until here
      source = FolioRef(target.frames, folio);
    }
  }
  return CopyOnWrite(target, view, walk, seen, std::move(source));
}

/// The entry was none.
FaultOutcome FillEntry(FaultTarget& target, const VmaView& view, const FaultRequest& request,
                       const WalkState& walk) {
  const bool write = request.access == AccessKind::kWrite;
  if (view.mapping == nullptr) {
    return write ? AnonWrite(target, view, walk) : AnonRead(target, view, walk);
  }
  if (!write) return MappingRead(target, view, walk);
  return view.Has(vma_flag::kShared) ? MappingSharedWrite(target, view, walk)
                                     : MappingPrivateWrite(target, view, walk);
}

/// The leaf entry without a lock; none if there is no PTE table. In an RCU section of its own: a
/// zap beside us may free the table (B40a).
Entry ReadPte(FaultTarget& target, EntryRef pmd, VirtAddr page) {
  const RcuGuard guard;
  const Entry entry = pmd.Load();
  if (!entry.present()) return {};
  TableWords& table = target.frames.Table(target.frames.FolioOf(entry.pfn()));
  // Relaxed: a hint, and nothing is reached through it.
  return Entry(table[IndexIn(TableLevel::kPte, page)].Load(kRelaxed));
}

}  // namespace
}  // namespace faultline
