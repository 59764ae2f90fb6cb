// SPDX-License-Identifier: Apache-2.0
//
// mprotect (Linux: do_mprotect_pkey, mprotect_fixup in mm/mprotect.c). VMA after VMA gets its new
// flags, merging and splitting as it goes; the first that refuses ends it, and what was changed
// before stays changed.
//
// Order per VMA: mark, publish the shape, set the flags, change the entries (DESIGN section 4).
#include <algorithm>
#include <optional>

#include "core/mm/populate.h"
#include "core/mm/vma_edit.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;       // NOLINT(google-build-using-namespace): names of the ABI
using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

/// The range that the call is about, once PROT_GROWSDOWN is applied. `first` is the VMA that
/// FindFrom(range.start()) gave.
Result<VirtRange> EffectiveRange(VirtRange range, const Vma* first, bool grows_down,
                                 bool grows_up) {
  if (first == nullptr || first->start() >= range.end()) return Errno::kEnomem;
  if (grows_down) {
    if (!first->Has(kGrowsDown)) return Errno::kEinval;
    return VirtRange(first->start(), range.end());
  }
  if (first->start() > range.start()) return Errno::kEnomem;
  if (grows_up) return Errno::kEinval;  // no VMA grows up here
  return range;
}

/// The flags that a VMA gets besides its protection: what becomes writable is committed; what has
/// no page yet may be taken back.
Result<VmaFlags> WithAccounting(MmWriter& writer, const Vma& vma, uint64_t pages, VmaFlags flags) {
  const VmaFlags old = vma.flags();
  if ((flags & kWrite) != 0) {
    if (!writer.MayExpand(flags, pages) && writer.MayExpand(old, pages)) return Errno::kEnomem;
    if ((old & (kAccount | kWrite | kShared | kNoReserve)) == 0) {
      if (!writer.MayCommit(pages)) return Errno::kEnomem;
      return flags | kAccount;
    }
  } else if ((old & kAccount) != 0 && vma.is_anonymous() && vma.anon_vma() == nullptr) {
    return flags & ~kAccount;
  }
  return flags;
}

/// One VMA's part of the call; returns the VMA that covers it now (Linux: mprotect_fixup).
Result<Vma*> ProtectVma(VmaEditor& editor, TlbGather& gather, Vma& vma, VirtRange part,
                        VmaFlags wanted) {
  MmWriter& writer = editor.writer();
  const VmaFlags old = vma.flags();
  if ((old & kSealed) != 0) return Errno::kEperm;
  if (wanted == old) return &vma;
  MM_ASSIGN_OR_RETURN(const VmaFlags flags, WithAccounting(writer, vma, part.pages(), wanted));
  MM_ASSIGN_OR_RETURN(Vma* const changed, editor.Modify(vma, part, flags));
  writer.Account(old, -static_cast<int64_t>(part.pages()));
  writer.Account(flags, static_cast<int64_t>(part.pages()));
  writer.AwaitFaults();
  // Private memory stays write-protected here: the next write fault decides about copying.
  ProtectRange(writer.tables(), gather, part,
               LeafBits(IsAccessible(flags), (flags & (kWrite | kShared)) == (kWrite | kShared),
                        (flags & kExec) != 0));
  // Locked private memory that becomes writable is copied now, not at the first access.
  if ((old & (kWrite | kShared | kLocked)) == kLocked && (flags & kWrite) != 0) {
    (void)PopulateVma(writer.fault_target(), *changed, part);
  }
  return changed;
}

Result<void> ProtectAll(VmaEditor& editor, TlbGather& gather, VirtRange range, VmaFlags prot) {
  VirtAddr at = range.start();
  while (at < range.end()) {
    Vma* const vma = editor.At(at);
    if (vma == nullptr) return Errno::kEnomem;
    const VmaFlags flags = prot | (vma->flags() & ~kAccess);
    // The MAY bits lie four above the bits that they permit.
    if ((flags & ~(flags >> 4) & kAccess) != 0) return Errno::kEacces;
    const VirtRange part(at, std::min(vma->end(), range.end()));
    MM_ASSIGN_OR_RETURN(const Vma* const covers, ProtectVma(editor, gather, *vma, part, flags));
    at = std::max(part.end(), std::min(covers->end(), range.end()));
  }
  return {};
}

}  // namespace

Result<void> Mm::Mprotect(VirtAddr addr, uint64_t length, uint64_t prot) {
  const ActivityScope activity(Activity::kMprotect);
  const bool grows_down = (prot & kProtGrowsDown) != 0;
  const bool grows_up = (prot & kProtGrowsUp) != 0;
  if (grows_down && grows_up) return Errno::kEinval;
  prot &= ~(kProtGrowsDown | kProtGrowsUp);
  if (!IsPageAligned(addr)) return Errno::kEinval;
  if (length == 0) return {};
  const uint64_t bytes = PageAlignUp(length).value_or(0);
  if (addr.value() + bytes <= addr.value()) return Errno::kEnomem;
  if ((prot & ~(kProtRead | kProtWrite | kProtExec | kProtSem)) != 0) return Errno::kEinval;

  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  VmaEditor editor(writer);
  MM_ASSIGN_OR_RETURN(
      const VirtRange range,
      EffectiveRange(VirtRange(addr, addr + bytes), editor.FindFrom(addr), grows_down, grows_up));
  TlbGather gather(services_.frames, services_.heap, services_.tlbs, tlb_);
  const Result<void> done = ProtectAll(editor, gather, range, prot & kAccess);
  gather.Finish();
  return done;
}

}  // namespace faultline
