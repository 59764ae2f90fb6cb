// SPDX-License-Identifier: Apache-2.0
//
// The loops of populate.h. Pages that are mapped for the access already are passed over without a
// fault, as get_user_pages does.
//
// The lock is held over a VMA's pages; with I/O in the fault path it will have to be dropped for
// waits, as Linux does.
#include "core/mm/populate.h"

#include <algorithm>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Makes every page of `range`, which is inside `vma`, usable for `access`.
Result<void> FaultIn(FaultTarget& target, Vma& vma, VirtRange range, AccessKind access) {
  for (VirtAddr addr = range.start(); addr < range.end(); addr += kPageSize) {
    const FaultRequest request{addr, access};
    while (!IsMappedFor(target, request)) {
      const FaultOutcome outcome = HandleFaultLocked(target, vma, request).outcome;
      if ((outcome & fault_bit::kOom) != 0) return Errno::kEnomem;
      if ((outcome & fault_bit::kErrors) != 0) return Errno::kEfault;
    }
  }
  return {};
}

}  // namespace

Result<void> PopulateVma(FaultTarget& target, Vma& vma, VirtRange range) {
  using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names
  if (vma.Has(kLockOnFault)) return {};
  // A write breaks copy-on-write now; shared pages would only get dirty for nothing.
  const bool write = (vma.flags() & (kWrite | kShared)) == kWrite;
  if (!IsAccessible(vma.flags())) return Errno::kEfault;
  return FaultIn(target, vma, range, write ? AccessKind::kWrite : AccessKind::kRead);
}

Result<void> Populate(Mm& mm, VirtAddr start, uint64_t bytes, PopulateErrors errors) {
  const ActivityScope activity(Activity::kPopulate);
  const MmReader reader(mm);
  if (!reader.held()) return Errno::kEintr;
  const VirtAddr end = start + bytes;
  for (VirtAddr at = start; at < end;) {
    Vma* vma = reader.FirstIn(VirtRange(at, end));
    if (vma == nullptr) break;
    const VirtRange part(std::max(at, vma->start()), std::min(end, vma->end()));
    at = part.end();
    if (vma->Has(vma_flag::kIo | vma_flag::kPfnMap)) continue;
    const Result<void> done = PopulateVma(reader.fault_target(), *vma, part);
    if (!done.ok() && errors == PopulateErrors::kReport) return done;
  }
  return {};
}

Result<void> PopulateFor(Mm& mm, VirtRange range, AccessKind access) {
  const ActivityScope activity(Activity::kPopulate);
  const MmReader reader(mm);
  if (!reader.held()) return Errno::kEintr;
  for (VirtAddr at = range.start(); at < range.end();) {
    Vma* vma = reader.At(at);
    if (vma == nullptr) return Errno::kEnomem;
    if (vma->Has(vma_flag::kIo | vma_flag::kPfnMap)) return Errno::kEinval;
    const VmaFlags needed = access == AccessKind::kWrite ? vma_flag::kWrite : vma_flag::kRead;
    if (!vma->Has(needed)) return Errno::kEinval;
    const VirtRange part(at, std::min(range.end(), vma->end()));
    MM_TRY(FaultIn(reader.fault_target(), *vma, part, access));
    at = part.end();
  }
  return {};
}

}  // namespace faultline
