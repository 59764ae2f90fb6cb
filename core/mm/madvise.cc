// SPDX-License-Identifier: Apache-2.0
//
// madvise (Linux: mm/madvise.c). Advice that changes flags takes mmap_lock for write and merges and
// splits; advice about pages takes it for read; populating faults pages in.
//
// A hole in the range does not stop the walk: what is mapped gets the advice, then the call fails
// with ENOMEM. COLD, PAGEOUT and WILLNEED check and answer; their effects come with reclaim.
#include <algorithm>
#include <optional>

#include "core/mm/populate.h"
#include "core/mm/vma_edit.h"
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

/// One VMA's part of advice about pages.
class PageAdviser {
 public:
  PageAdviser(const MmReader& reader, int advice)
      : reader_(reader),
        advice_(advice),
        gather_(reader.services().frames, reader.services().heap, reader.services().tlbs,
                reader.tlb()) {}
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
    ZapRange(reader_.tables(), gather_, part, {.free_empty_tables = true});
    return {};
  }
  Result<void> Free(Vma& vma, VirtRange part) {
    MM_TRY(CheckDiscard(vma));
    if (!vma.is_anonymous()) return Errno::kEinval;
    LazyFreeRange(reader_.tables(), gather_, part);
    return {};
  }
  Result<void> GuardInstall(Vma& vma, VirtRange part) {
    if (vma.Has(kSpecial | kLocked)) return Errno::kEinval;
    // With markers the tables hold what no fault could find again: fork has to copy them.
    vma.AddStickyFlags(kMaybeGuard);
    if (vma.is_anonymous()) MM_TRY(PrepareAnonVma(reader_.fault_target(), vma));
    return InstallGuards(reader_.tables(), gather_, part);
  }
  Result<void> GuardRemove(const Vma& vma, VirtRange part) {
    if (vma.Has(kSpecial)) return Errno::kEinval;
    RemoveGuards(reader_.tables(), part);
    return {};
  }

  const MmReader& reader_;
  const int advice_;
  TlbGather gather_;
};

Result<void> AdvisePages(const MmReader& reader, VirtRange range, int advice) {
  PageAdviser adviser(reader, advice);
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
