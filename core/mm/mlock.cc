// SPDX-License-Identifier: Apache-2.0
//
// mlock, mlock2, munlock, mlockall, munlockall (Linux: mm/mlock.c). Locking sets flags on VMAs and
// faults their pages in; here, where nothing is evicted yet, the flags are what counts: they are
// visible to merges, madvise and accounting.
#include <algorithm>

#include "core/mm/populate.h"
#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;       // NOLINT(google-build-using-namespace): names of the ABI
using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

/// Gives a part of `vma` the lock flags; returns the VMA that covers it now (Linux: mlock_fixup).
Result<Vma*> LockVma(VmaEditor& editor, Vma& vma, VirtRange part, VmaFlags lock_flags) {
  const VmaFlags old = vma.flags();
  const VmaFlags flags = (old & ~kLockedMask) | lock_flags;
  // Such memory is never locked, and that is no error.
  if (flags == old || (old & (kSpecial | kDroppable)) != 0) return &vma;
  MM_ASSIGN_OR_RETURN(Vma* const changed, editor.Modify(vma, part, flags));
  const auto pages = static_cast<int64_t>(part.pages());
  editor.writer().Account(old, -pages);
  editor.writer().Account(flags, pages);
  return changed;
}

/// Linux: apply_vma_lock_flags. A hole ends it; what was done before stays.
Result<void> LockRange(VmaEditor& editor, VirtRange range, VmaFlags lock_flags) {
  for (VirtAddr at = range.start(); at < range.end();) {
    Vma* const vma = editor.At(at);
    if (vma == nullptr) return Errno::kEnomem;
    const VirtRange part(at, std::min(vma->end(), range.end()));
    MM_ASSIGN_OR_RETURN(const Vma* const covers, LockVma(editor, *vma, part, lock_flags));
    at = std::max(part.end(), std::min(covers->end(), range.end()));
  }
  return {};
}

/// Locked pages inside `range` (Linux: count_mm_mlocked_page_nr).
uint64_t LockedPagesIn(const VmaEditor& editor, VirtRange range) {
  uint64_t pages = 0;
  for (const Vma* vma = editor.FirstIn(range); vma != nullptr && vma->start() < range.end();
       vma = editor.Next(*vma)) {
    if (vma->Has(kLocked)) pages += range.Intersect(vma->range()).pages();
  }
  return pages;
}

/// The whole pages that [addr, addr + length) touches; both may wrap, as in Linux.
struct PageSpan {
  VirtAddr start;
  uint64_t bytes;
};
PageSpan SpanOf(VirtAddr addr, uint64_t length) {
  const uint64_t inside = addr.value() & (kPageSize - 1);
  return {PageAlignDown(addr), PageAlignDown(length + inside + kPageSize - 1)};
}

/// An empty range, or EINVAL if the span wraps.
Result<VirtRange> RangeOf(PageSpan span) {
  if (span.start.value() + span.bytes < span.start.value()) return Errno::kEinval;
  return VirtRange(span.start, span.start + span.bytes);
}

bool MayLockAtAll(const MmOptions& options) {
  return options.can_ipc_lock || options.rlimit_memlock != 0;
}

/// What populate's errors are to mlock (Linux: __mlock_posix_error_return).
Result<void> PosixError(const Result<void>& populated) {
  if (populated.ok()) return {};
  if (populated.error() == Errno::kEfault) return Errno::kEnomem;
  if (populated.error() == Errno::kEnomem) return Errno::kEagain;
  return populated;
}

}  // namespace

Result<void> Mm::Mlock(VirtAddr addr, uint64_t length) { return LockSpan(addr, length, kLocked); }

Result<void> Mm::Mlock2(VirtAddr addr, uint64_t length, uint64_t flags) {
  if ((flags & ~kMlockOnFault) != 0) return Errno::kEinval;
  return LockSpan(addr, length, kLocked | (flags != 0 ? kLockOnFault : 0));
}

Result<void> Mm::LockSpan(VirtAddr addr, uint64_t length, VmaFlags lock_flags) {
  const ActivityScope activity(Activity::kMlock);
  if (!MayLockAtAll(options_)) return Errno::kEperm;
  const PageSpan span = SpanOf(addr, length);
  {
    MmWriter writer(*this);
    if (!writer.held()) return Errno::kEintr;
    VmaEditor editor(writer);
    const Result<VirtRange> range = RangeOf(span);
    uint64_t locked = (span.bytes >> kPageShift) + pages_.locked;
    const uint64_t limit = options_.rlimit_memlock >> kPageShift;
    if (locked > limit && range.ok()) locked -= LockedPagesIn(editor, *range);
    if (locked > limit && !options_.can_ipc_lock) return Errno::kEnomem;
    if (!range.ok()) return range.error();
    MM_TRY(LockRange(editor, *range, lock_flags));
  }
  return PosixError(Populate(*this, span.start, span.bytes, PopulateErrors::kReport));
}

Result<void> Mm::Munlock(VirtAddr addr, uint64_t length) {
  const ActivityScope activity(Activity::kMlock);
  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  VmaEditor editor(writer);
  MM_ASSIGN_OR_RETURN(const VirtRange range, RangeOf(SpanOf(addr, length)));
  return LockRange(editor, range, 0);
}

Result<void> Mm::Mlockall(uint64_t flags) {
  const ActivityScope activity(Activity::kMlock);
  if (flags == 0 || (flags & ~(kMclCurrent | kMclFuture | kMclOnFault)) != 0 ||
      flags == kMclOnFault) {
    return Errno::kEinval;
  }
  if (!MayLockAtAll(options_)) return Errno::kEperm;
  const VmaFlags lock_flags = kLocked | ((flags & kMclOnFault) != 0 ? kLockOnFault : 0);
  {
    MmWriter writer(*this);
    if (!writer.held()) return Errno::kEintr;
    const bool fits = pages_.total <= options_.rlimit_memlock >> kPageShift;
    if ((flags & kMclCurrent) != 0 && !fits && !options_.can_ipc_lock) return Errno::kEnomem;
    default_flags_ &= ~kLockedMask;
    if ((flags & kMclFuture) != 0) default_flags_ |= lock_flags;
    if ((flags & kMclCurrent) == 0) return {};
    LockEverything(writer, lock_flags);
  }
  (void)Populate(*this, VirtAddr(0), tables_.task_size().value(), PopulateErrors::kIgnore);
  return {};
}

Result<void> Mm::Munlockall() {
  const ActivityScope activity(Activity::kMlock);
  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  default_flags_ &= ~kLockedMask;
  LockEverything(writer, 0);
  return {};
}

/// Linux: apply_mlockall_flags. A VMA that cannot be changed for lack of memory stays as it is.
void Mm::LockEverything(MmWriter& writer, VmaFlags lock_flags) {
  VmaEditor editor(writer);
  for (Vma* vma = editor.FindFrom(VirtAddr(0)); vma != nullptr;) {
    const Result<Vma*> changed = LockVma(editor, *vma, vma->range(), lock_flags);
    vma = editor.Next(changed.ok() ? **changed : *vma);
  }
}

}  // namespace faultline
