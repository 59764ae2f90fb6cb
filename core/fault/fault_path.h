// SPDX-License-Identifier: Apache-2.0
//
// The table of contents of a fault (Linux: __handle_mm_fault, handle_pte_fault, do_fault,
// do_anonymous_page, do_wp_page in mm/memory.c): access check, upper tables, what stands in the
// entry, an anon_vma where an anonymous page will be made, the PTE table last (B30), then one step
// for each kind of fault. Each step gets ready what may take sleeping, and then commits.
//
// The entry is first read without its lock, which only decides what has to be prepared; each commit
// decides again under the lock. Included by the schemes' sources alone.
#pragma once

#include <concepts>
#include <utility>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/fault/fault_steps.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Whether the fault will leave an anonymous page, which needs an anon_vma to be found by.
[[nodiscard]] inline bool WantsAnonPage(const VmaView& view, const FaultRequest& request) {
  return request.access == AccessKind::kWrite && !view.Has(vma_flag::kShared);
}

/// Whether there is nothing to do but to refuse: behind the end of the Mapping. A read there that
/// maps what is around it does so first, as do_read_fault does, and finds out by itself.
[[nodiscard]] inline bool IsBusError(const FaultTarget& target, const VmaView& view,
                                     const FaultRequest& request, VirtAddr page) {
  if (view.mapping == nullptr || !IsBehindEnd(view, page)) return false;
  return request.access == AccessKind::kWrite || target.fault_around_bytes == kPageSize;
}

// -- Anonymous memory (Linux: do_anonymous_page) --------------------------------------------------

/// Tries to give the held VMA an anon_vma. False: mmap_lock is needed for that, and was not to be
/// had.
template <FaultScheme S>
bool PrepareAnonVmaFor(FaultTarget& target, typename S::Hold& hold) {
  if constexpr (S::kHoldsMmapLock) {
    (void)PrepareAnonVma(target, *hold.vma);
    return true;
  } else {
    if (MutantOn(Mutant::kM10)) return true;
    const TriedMmapLock mmap_lock(target.mmap_lock);
    if (mmap_lock.held()) (void)PrepareAnonVma(target, *hold.vma);
    return mmap_lock.held();
  }
}

/// Gives the VMA an anon_vma if the fault needs one and there is none (B28; Linux:
/// vmf_anon_prepare). Under the VMA's lock alone, neighbours may be looked at only with mmap_lock,
/// which may only be tried (B4, B5).
template <FaultScheme S>
FaultOutcome EnsureAnonVma(FaultTarget& target, typename S::Hold& hold,
                           const FaultRequest& request) {
  if (hold.view.anon_vma != nullptr || !WantsAnonPage(hold.view, request)) return 0;
  if (!S::MaySleep(hold) && !TryUpgrade<S>(target, hold, LeaveReason::kNoAnonVma)) {
    return Leave(hold, LeaveReason::kNoAnonVma);
  }
  if constexpr (!std::derived_from<S, ValidatingScheme>) {
    // Another fault may have been first.
    hold.view.anon_vma = hold.vma->anon_vma();
    if (hold.view.anon_vma != nullptr) return 0;
    if (!PrepareAnonVmaFor<S>(target, hold)) return Leave(hold, LeaveReason::kNoAnonVma);
    if (hold.vma->anon_vma() == nullptr && !MutantOn(Mutant::kM10)) {
      // The lock to be had with a neighbour's may be held.
      return NoWaitScope::IsInForce() ? Leave(hold, LeaveReason::kNoAnonVma) : fault_bit::kOom;
    }
    hold.view.anon_vma = hold.vma->anon_vma();
  }
  return 0;
}

/// A read gets the zero page, by a special entry that counts nowhere.
template <FaultScheme S>
FaultOutcome AnonRead(FaultTarget& target, typename S::Hold& hold, const WalkState& walk) {
  return Commit<S>(target, hold, walk, 0, [&](LockedPte& pte) -> FaultOutcome {
    if (!pte.Load().none()) return 0;
    hold.kind = FaultKind::kZeroPage;
    pte.Store(Entry::Of(target.frames.zero_pfn(), ReadOnlyBits(hold.view) | Entry::kSpecial));
    return 0;
  });
}

template <FaultScheme S>
FaultOutcome AnonWrite(FaultTarget& target, typename S::Hold& hold, WalkState& walk) {
  Result<FolioRef> fresh = Errno::kEnomem;  // what loses the race is freed behind the lock
  const FaultOutcome obtained =
      ObtainFor<S>(target, hold, walk, LeaveReason::kNoPage,
                   [&](Gfp gfp) -> const auto& { return fresh = NewZeroedAnonFolio(target, gfp); });
  if (obtained != 0) return obtained;
  return Commit<S>(target, hold, walk, 0, [&](LockedPte& pte) -> FaultOutcome {
    if (!pte.Load().none()) return 0;
    hold.kind = FaultKind::kAnon;
    InstallAnon(target, hold.view, pte, walk.page, *std::move(fresh));
    target.tables.counters().Add(MmCounter::kAnonPages, 1);
    return 0;
  });
}

// -- Pages of a Mapping (Linux: do_read_fault, do_cow_fault, do_shared_fault) ---------------------

template <FaultScheme S>
FaultOutcome ObtainCached(FaultTarget& target, typename S::Hold& hold, const WalkState& walk,
                          Result<FolioRef>& folio) {
  return ObtainInSection<S>(target, hold, LeaveReason::kNoPage, [&](Gfp gfp) -> const auto& {
    return folio = FindCached(target, hold.view, walk.page, gfp);
  });
}

template <FaultScheme S>
FaultOutcome CommitCached(FaultTarget& target, typename S::Hold& hold, const WalkState& walk,
                          FolioRef folio, uint64_t bits, FaultKind kind) {
  return Commit<S>(target, hold, walk, fault_bit::kNoPage, [&](LockedPte& pte) -> FaultOutcome {
    if (!pte.Load().none()) return fault_bit::kNoPage;
    hold.kind = kind;
    InstallCached(target, pte, std::move(folio), bits);
    return 0;
  });
}

template <FaultScheme S>
FaultOutcome MappingRead(FaultTarget& target, typename S::Hold& hold, const WalkState& walk) {
  if (target.fault_around_bytes > kPageSize) {
    const FaultOutcome around =
        Commit<S>(target, hold, walk, 0, [&](LockedPte& pte) -> FaultOutcome {
          if (!MapAround(target, hold.view, walk.page, pte)) return 0;
          hold.kind = FaultKind::kMappingRead;
          return fault_bit::kNoPage;
        });
    if (around != 0) return around;
  }
  if (IsBehindEnd(hold.view, walk.page)) return fault_bit::kSigbus;
  Result<FolioRef> folio = Errno::kEnomem;
  const FaultOutcome obtained = ObtainCached<S>(target, hold, walk, folio);
  if (obtained != 0) return obtained;
  return CommitCached<S>(target, hold, walk, *std::move(folio), MappingReadBits(hold.view),
                         FaultKind::kMappingRead);
}

template <FaultScheme S>
FaultOutcome MappingSharedWrite(FaultTarget& target, typename S::Hold& hold,
                                const WalkState& walk) {
  Result<FolioRef> folio = Errno::kEnomem;
  const FaultOutcome obtained = ObtainCached<S>(target, hold, walk, folio);
  if (obtained != 0) return obtained;
  (*folio)->Set(kFolioDirty);
  return CommitCached<S>(target, hold, walk, *std::move(folio),
                         WritableBits(hold.view) | Entry::kDirty, FaultKind::kMappingShared);
}

template <FaultScheme S>
FaultOutcome MappingPrivateWrite(FaultTarget& target, typename S::Hold& hold, WalkState& walk) {
  Result<FolioRef> fresh = Errno::kEnomem;
  FaultOutcome obtained =
      ObtainFor<S>(target, hold, walk, LeaveReason::kNoPage,
                   [&](Gfp gfp) -> const auto& { return fresh = NewAnonFolio(target, gfp); });
  if (obtained != 0) return obtained;
  Result<FolioRef> source = Errno::kEnomem;
  obtained = ObtainCached<S>(target, hold, walk, source);
  if (obtained != 0) return obtained;
  target.frames.Copy(**fresh, **source);
  return Commit<S>(target, hold, walk, fault_bit::kNoPage, [&](LockedPte& pte) -> FaultOutcome {
    if (!pte.Load().none()) return fault_bit::kNoPage;
    hold.kind = FaultKind::kMappingCow;
    InstallAnon(target, hold.view, pte, walk.page, *std::move(fresh));
    target.tables.counters().Add(MmCounter::kAnonPages, 1);
    return 0;
  });
}

// -- Entries that are there (Linux: do_wp_page) ---------------------------------------------------

/// Gives the page a copy of its own. `seen` is what its entry was under the lock.
template <FaultScheme S>
FaultOutcome CopyOnWrite(FaultTarget& target, typename S::Hold& hold, WalkState& walk, Entry seen,
                         FolioRef source) {
  Result<FolioRef> fresh = Errno::kEnomem;
  const FaultOutcome obtained =
      ObtainFor<S>(target, hold, walk, LeaveReason::kNoPage,
                   [&](Gfp gfp) -> const auto& { return fresh = CopyOf(target, source, gfp); });
  if (obtained != 0) return obtained;
  bool exchanged = false;
  const FaultOutcome outcome =
      Commit<S>(target, hold, walk, 0, [&](LockedPte& pte) -> FaultOutcome {
        exchanged = CommitCopy(target, hold.view, pte, walk.page, seen, *std::move(fresh), source);
        return 0;
      });
  // The entry's reference, too.
  if (exchanged) hold.kind = FaultKind::kWriteProtected;
  if (exchanged && source) target.frames.Put(source.Release(), 2);
  return outcome;
}

/// The entry is there: either it forbids the write, or it has come to allow the access, or it is
/// older than the VMA's protection.
template <FaultScheme S>
FaultOutcome PresentFault(FaultTarget& target, typename S::Hold& hold, const FaultRequest& request,
                          WalkState& walk) {
  const bool write = request.access == AccessKind::kWrite;
  // What the VMA allows and the entry may still refuse. Only ever loosened: taking rights away is
  // mprotect's, which flushes.
  const uint64_t stale =
      Entry::kProtNone | (hold.view.Has(vma_flag::kExec) ? Entry::kNoExec : uint64_t{0});
  bool wants_copy = false;
  FolioRef source;
  Entry seen;
  const FaultOutcome outcome =
      Commit<S>(target, hold, walk, 0, [&](LockedPte& pte) -> FaultOutcome {
        if (!pte.Load().present()) return 0;
        const Entry before = pte.Modify(pte.index(), [&](Entry entry) {
          const uint64_t dirty = write && entry.writable() ? Entry::kDirty : uint64_t{0};
          return entry.Without(stale).With(Entry::kAccessed | dirty);
        });
        if (!write || before.writable()) return 0;
        if (MakeWritableInPlace(target, hold.view, pte)) {
          hold.kind = FaultKind::kWriteProtected;
          return 0;
        }
        wants_copy = true;
        seen = pte.Load();
        if (!seen.special()) {
          Folio& folio = target.frames.FolioOf(seen.pfn());
          folio.Get();  // the entry's reference keeps it alive until here
          source = FolioRef(target.frames, folio);
        }
        return 0;
      });
  if (outcome != 0 || !wants_copy) return outcome;
  return CopyOnWrite<S>(target, hold, walk, seen, std::move(source));
}

/// The entry was none.
template <FaultScheme S>
FaultOutcome FillEntry(FaultTarget& target, typename S::Hold& hold, const FaultRequest& request,
                       WalkState& walk) {
  const bool write = request.access == AccessKind::kWrite;
  if (hold.view.mapping == nullptr) {
    return write ? AnonWrite<S>(target, hold, walk) : AnonRead<S>(target, hold, walk);
  }
  if constexpr (SuspendingScheme<S>) {
    if (S::RefusesMapping(hold.view, request)) return Leave(hold, LeaveReason::kRefused);
  }
  if (!write) return MappingRead<S>(target, hold, walk);
  return hold.view.Has(vma_flag::kShared) ? MappingSharedWrite<S>(target, hold, walk)
                                          : MappingPrivateWrite<S>(target, hold, walk);
}

// -- The whole ------------------------------------------------------------------------------------

/// The fault, on one rung, between Begin and End. kRetry: hold.reason says why not here.
template <FaultScheme S>
FaultOutcome HandleFault(FaultTarget& target, typename S::Hold& hold, const FaultRequest& request,
                         TableStock& stock) {
  MM_DCHECK(hold.view.Contains(request.addr));
  if (!AccessAllowed(hold.view.flags, request.access)) return fault_bit::kBadAccess;

  WalkState walk{.page = PageAlignDown(request.addr), .pmd = {}, .seen = {}};
  const TableLevel first =
      target.options.pte_table == PteTable::kWithWalk ? TableLevel::kPte : TableLevel::kPmd;
  FaultOutcome no = WalkTo<S>(first, target, hold, stock, walk);
  if (no != 0) return no;
  walk.seen = ReadPte(target, walk.pmd, walk.page);
  if (walk.seen.is_guard()) {
    // It may be of a mapping that came after ours.
    if (!S::StillValid(target, hold)) return Leave(hold, LeaveReason::kChanged);
    return fault_bit::kSigsegv;
  }
  no = EnsureAnonVma<S>(target, hold, request);
  if (no != 0) return no;
  if (walk.seen.present()) return PresentFault<S>(target, hold, request, walk);

  if (IsBusError(target, hold.view, request, walk.page)) return fault_bit::kSigbus;
  no = WalkTo<S>(TableLevel::kPte, target, hold, stock, walk);
  if (no != 0) return no;
  return FillEntry<S>(target, hold, request, walk);
}

}  // namespace faultline
