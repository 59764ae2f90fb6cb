// SPDX-License-Identifier: Apache-2.0
//
// Where each counter of vmstat.h comes from. All frames are one zone, which Linux would call
// Normal. pgfault counts faults that ended, on whichever rung, so one that was retried counts once
// (Linux: mm_account_fault); there are no major ones, since nothing reads from a device yet.
#include "core/machine/vmstat.h"

#include <cstdint>
#include <vector>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

uint64_t Unsigned(int64_t count) { return count < 0 ? 0 : static_cast<uint64_t>(count); }

}  // namespace

std::vector<VmStatValue> VmStat(Machine& machine) {
  const FrameAllocator::Traffic frames = machine.frames().traffic();
  const FaultStatsSnapshot faults = machine.FaultTotals();
  const TlbSet::Counts tlbs = machine.tlbs().counts();
  const auto alloc = [&](AllocEvent event) {
    return Unsigned(machine.frames().events().Sum(event));
  };
  const auto fault = [&](FaultCounter counter) { return Unsigned(faults.Count(counter)); };
  return {
      {"nr_free_pages", frames.free},
      {"nr_page_table_pages", Unsigned(machine.Sum(MmCounter::kTables))},
      {"pgalloc_normal", frames.allocated},
      {"allocstall_normal", alloc(AllocEvent::kAllocstall)},
      {"pgfree", frames.freed},
      {"pgfault", Unsigned(faults.Ended())},
      {"pgsteal_direct", alloc(AllocEvent::kDirectReclaimed)},
      {"nr_tlb_remote_flush_received", tlbs.shootdowns},
      {"vma_lock_success", Unsigned(faults.vma_lock_success())},
      {"vma_lock_abort", fault(FaultCounter::kVmaLockAbort)},
      {"vma_lock_retry", fault(FaultCounter::kVmaLockRetry)},
      {"vma_lock_miss", fault(FaultCounter::kVmaLockMiss)},
  };
}

}  // namespace faultline
