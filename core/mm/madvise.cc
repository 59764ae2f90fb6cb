// SPDX-License-Identifier: Apache-2.0
//
// madvise (Linux: mm/madvise.c). Advice that changes flags takes mmap_lock for write and merges and
// splits; advice about pages takes it for read; populating faults pages in. DONTNEED and FREE of
// memory in one VMA hold that VMA alone, if the mm's scheme has a lock for it and it is to be had
// at once (Linux since 6.17: madvise_lock_mode, try_vma_read_lock; B23).
//
// Whichever lock it is, others may zap the same tables at the same time (B40a), and the gather is
// finished, TLBs flushed and all, before it is released.
//
// A hole in the range does not stop the walk: what is mapped gets the advice, then the call fails
// with ENOMEM. COLD, PAGEOUT and WILLNEED check and answer; their effects come with reclaim.
#include <algorithm>
#include <optional>

#include "core/mm/populate.h"
#include "core/mm/vma_edit.h"
#include "core/mm/vma_reader.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;       // NOLINT(google-build-using-namespace): names of the ABI
using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

enum class AdviceKind : uint8_t { kUnknown, kFlags, kPages, kPopulate };

AdviceKind KindOf(int advice) {
  switch (advice) {
    case kMadvNormal:
    case kMadvRandom:
    case kMadvSequential:
    case kMadvDontFork:
    case kMadvDoFork:
    case kMadvDontDump:
    case kMadvDoDump:
    case kMadvWipeOnFork:
    case kMadvKeepOnFork:
    case kMadvHugePage:
    case kMadvNoHugePage:
      return AdviceKind::kFlags;
    case kMadvWillNeed:
    case kMadvDontNeed:
    case kMadvDontNeedLocked:
    case kMadvFree:
    case kMadvCold:
    case kMadvPageOut:
    case kMadvGuardInstall:
    case kMadvGuardRemove:
    case kMadvRemove:
      return AdviceKind::kPages;
    case kMadvPopulateRead:
    case kMadvPopulateWrite:
      return AdviceKind::kPopulate;
    default:
      return AdviceKind::kUnknown;
  }
}

/// Visits the parts of `range` that are mapped. `visit(Vma&, part)` returns the VMA that covers the
/// part afterwards, or an error that ends the walk. ENOMEM at the end if there was a hole.
template <class Lock, class Visit>
Result<void> WalkVmas(const Lock& find, VirtRange range, const Visit& visit) {
  bool hole = false;
  for (VirtAddr at = range.start(); at < range.end();) {
    Vma* const vma = find.FindFrom(at);
    if (vma == nullptr || vma->start() >= range.end()) return Errno::kEnomem;
    if (vma->start() > at) {
      hole = true;
      at = vma->start();
    }
    const VirtRange part(at, std::min(vma->end(), range.end()));
    MM_ASSIGN_OR_RETURN(const Vma* const covers, visit(*vma, part));
    at = std::max(part.end(), std::min(covers->end(), range.end()));
  }
  if (hole) return Errno::kEnomem;
  return {};
}

/// Discarding advice on sealed memory (Linux: can_modify_vma_madv): refused where it would lose
/// what the caller could not overwrite: read-only anonymous memory.
bool SealForbids(int advice, const Vma& vma) {
  switch (advice) {
    case kMadvDontNeed:
    case kMadvDontNeedLocked:
    case kMadvFree:
    case kMadvRemove:
    case kMadvDontFork:
    case kMadvWipeOnFork:
    case kMadvGuardInstall:
      return vma.Has(kSealed) && vma.is_anonymous() && !vma.Has(kWrite);
    default:
      return false;
  }
}

// -- Flags ----------------------------------------------------------------------------------------

/// The flags of a VMA after the advice; EINVAL if it does not go with them.
Result<VmaFlags> FlagsAfter(int advice, const Vma& vma) {
  const VmaFlags flags = vma.flags();
  switch (advice) {
    case kMadvNormal:
      return flags & ~(kRandRead | kSeqRead);
    case kMadvSequential:
      return (flags & ~kRandRead) | kSeqRead;
    case kMadvRandom:
      return (flags & ~kSeqRead) | kRandRead;
    case kMadvDontFork:
      return flags | kDontCopy;
    case kMadvDoFork:
      if ((flags & (kIo | kSpecial)) != 0) return Errno::kEinval;
      return flags & ~kDontCopy;
    case kMadvWipeOnFork:
      if (!vma.is_anonymous() || (flags & kShared) != 0) return Errno::kEinval;
      return flags | kWipeOnFork;
    case kMadvKeepOnFork:
      if ((flags & kDroppable) != 0) return Errno::kEinval;
      return flags & ~kWipeOnFork;
    case kMadvDontDump:
      return flags | kDontDump;
    case kMadvDoDump:
      if ((flags & (kSpecial | kDroppable)) != 0) return Errno::kEinval;
      return flags & ~kDontDump;
    case kMadvHugePage:
      return (flags & ~kNoHugePage) | kHugePage;
    case kMadvNoHugePage:
      return (flags & ~kHugePage) | kNoHugePage;
    default:
      MM_UNREACHABLE("not an advice about flags");
  }
}

Result<void> AdviseFlags(MmWriter& writer, VirtRange range, int advice) {
  VmaEditor editor(writer);
  return WalkVmas(editor, range, [&](Vma& vma, VirtRange part) -> Result<Vma*> {
    if (SealForbids(advice, vma)) return Errno::kEperm;
    MM_ASSIGN_OR_RETURN(const VmaFlags flags, FlagsAfter(advice, vma));
    if (flags == vma.flags()) return &vma;
    const Result<Vma*> changed = editor.Modify(vma, part, flags);
    // madvise says EAGAIN for memory that the kernel itself lacks.
    if (!changed.ok()) return Errno::kEagain;
    return changed;
  });
}

// -- Pages ----------------------------------------------------------------------------------------

/// One VMA's part of advice about pages. The VMA is held for reading, by mmap_lock or its own lock.
class PageAdviser {
 public:
  PageAdviser(FaultTarget& target, Heap& heap, int advice)
      : target_(target), advice_(advice), gather_(target.frames, heap, target.tlbs, target.tlb) {}
  ~PageAdviser() { gather_.Finish(); }
  PageAdviser(const PageAdviser&) = delete;
  PageAdviser& operator=(const PageAdviser&) = delete;

  Result<void> Advise(Vma& vma, VirtRange part) {
    if (SealForbids(advice_, vma)) return Errno::kEperm;
    switch (advice_) {
      case kMadvWillNeed:
        return {};
      case kMadvCold:
      case kMadvPageOut:
        return CheckLru(vma);
      case kMadvDontNeed:
      case kMadvDontNeedLocked:
        return DontNeed(vma, part);
      case kMadvFree:
        return Free(vma, part);
      case kMadvGuardInstall:
        return GuardInstall(vma, part);
      case kMadvGuardRemove:
        return GuardRemove(vma, part);
      default:
        return Errno::kEinval;
    }
  }

 private:
  static Result<void> CheckLru(const Vma& vma) {
    if (vma.Has(kLocked | kPfnMap)) return Errno::kEinval;
    return {};
  }
  [[nodiscard]] Result<void> CheckDiscard(const Vma& vma) const {
    const VmaFlags forbidden = kPfnMap | (advice_ == kMadvDontNeedLocked ? 0 : kLocked);
    if (vma.Has(forbidden)) return Errno::kEinval;
    return {};
  }
  Result<void> DontNeed(Vma& vma, VirtRange part) {
    MM_TRY(CheckDiscard(vma));
    ZapRange(target_.tables, gather_, part, {.free_empty_tables = true});
    return {};
  }
  Result<void> Free(Vma& vma, VirtRange part) {
    MM_TRY(CheckDiscard(vma));
    if (!vma.is_anonymous()) return Errno::kEinval;
    LazyFreeRange(target_.tables, gather_, part);
    return {};
  }
  Result<void> GuardInstall(Vma& vma, VirtRange part) {
    if (vma.Has(kSpecial | kLocked)) return Errno::kEinval;
    // With markers the tables hold what no fault could find again: fork has to copy them.
    vma.AddStickyFlags(kMaybeGuard);
    if (vma.is_anonymous()) MM_TRY(PrepareAnonVma(target_, vma));
    return InstallGuards(target_.tables, gather_, part);
  }
  Result<void> GuardRemove(const Vma& vma, VirtRange part) {
    if (vma.Has(kSpecial)) return Errno::kEinval;
    RemoveGuards(target_.tables, part);
    return {};
  }

  FaultTarget& target_;
  const int advice_;
  TlbGather gather_;
};

/// Whether the advice needs nothing but the VMA, not even its neighbours or to set a flag.
bool GoesByVmaLock(int advice) {
  return advice == kMadvDontNeed || advice == kMadvDontNeedLocked || advice == kMadvFree;
}

/// The advice under the VMA's lock; nothing if that is not to be had, or one VMA is not enough.
std::optional<Result<void>> TryAdviseOneVma(FaultTarget& target, Heap& heap, VirtRange range,
                                            int advice) {
  if (!GoesByVmaLock(advice)) return std::nullopt;
  const VmaReader reader(target, range.start());
  if (reader.vma() == nullptr || reader.vma()->end() < range.end()) return std::nullopt;
  return PageAdviser(target, heap, advice).Advise(*reader.vma(), range);
}

Result<void> AdvisePages(const MmReader& reader, VirtRange range, int advice) {
  PageAdviser adviser(reader.fault_target(), reader.services().heap, advice);
  return WalkVmas(reader, range, [&](Vma& vma, VirtRange part) -> Result<Vma*> {
    MM_TRY(adviser.Advise(vma, part));
    return &vma;
  });
}

}  // namespace

Result<void> Mm::Madvise(VirtAddr addr, uint64_t length, int advice) {
  const ActivityScope activity(Activity::kMadvise);
  const AdviceKind kind = KindOf(advice);
  if (kind == AdviceKind::kUnknown || !IsPageAligned(addr)) return Errno::kEinval;
  const std::optional<uint64_t> bytes = PageAlignUp(length);
  if (!bytes || addr.value() + *bytes < addr.value()) return Errno::kEinval;
  if (*bytes == 0) return {};
  const VirtRange range(addr, addr + *bytes);
  switch (kind) {
    case AdviceKind::kFlags: {
      MmWriter writer(*this);
      if (!writer.held()) return Errno::kEintr;
      return AdviseFlags(writer, range, advice);
    }
    case AdviceKind::kPages: {
      if (auto done = TryAdviseOneVma(fault_target_, services_.heap, range, advice)) return *done;
      const MmReader reader(*this);
      if (!reader.held()) return Errno::kEintr;
      return AdvisePages(reader, range, advice);
    }
    default:
      return PopulateFor(*this, range,
                         advice == kMadvPopulateWrite ? AccessKind::kWrite : AccessKind::kRead);
  }
}

}  // namespace faultline
