// SPDX-License-Identifier: Apache-2.0
//
// The mms of one machine (Linux: mmlist), and the statistics of faults over all of them; see mm.h.
//
// Nothing that mms count is ever taken back: the sum of all is what the living have counted since
// they were made, and what the dead had when they went. An mm goes out of the list and its counts
// into the sum of the dead under one hold of the lock, after its last fault; so no reader misses a
// fault or sees it twice. A reset remembers the sum of that moment. It does not touch the counts
// that faults increase.
#include <cstdint>
#include <utility>
#include <vector>

#include "core/mm/mm.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Not inlined: GCC 12 warns of a null mm in the loop over the list.
FAULTLINE_NOINLINE int64_t CountOf(const Mm& mm, MmCounter counter) {
  return mm.counters().Sum(counter);
}

}  // namespace

void MmList::Add(Mm& mm) {
  const LockGuard guard(lock_);
  mms_.push_back(mm);
  ++count_;
}

void MmList::Remove(Mm& mm) {
  const LockGuard guard(lock_);
  mms_.erase(mm);
  --count_;
  exited_ += mm.fault_stats().Totals();
}

std::vector<Mm*> MmList::Snapshot() {
  const LockGuard guard(lock_);
  std::vector<Mm*> mms;
  for (Mm& mm : mms_) mms.push_back(&mm);
  return mms;
}

uint64_t MmList::size() {
  const LockGuard guard(lock_);
  return count_;
}

int64_t MmList::Sum(MmCounter counter) {
  const LockGuard guard(lock_);
  int64_t sum = 0;
  for (const Mm& mm : mms_) sum += CountOf(mm, counter);
  return sum;
}

// -- Statistics of faults -------------------------------------------------------------------------

FaultStatsSnapshot MmList::FaultStatistics() {
  const LockGuard guard(lock_);
  FaultStatsSnapshot since = FaultTotalsLocked();
  return since -= reset_at_;
}

FaultStatsSnapshot MmList::FaultTotals() {
  const LockGuard guard(lock_);
  return FaultTotalsLocked();
}

FaultStatsSnapshot MmList::ResetFaultStatistics() {
  const LockGuard guard(lock_);
  FaultStatsSnapshot since = FaultTotalsLocked();
  const FaultStatsSnapshot before = std::exchange(reset_at_, since);
  for (Mm& mm : mms_) mm.fault_stats().Reset();
  return since -= before;
}

FaultStatsSnapshot MmList::ResetFaultStatistics(Mm& mm) {
  const LockGuard guard(lock_);  // one reset at a time
  return mm.fault_stats().Reset();
}

FaultStatsSnapshot MmList::FaultTotalsLocked() {
  FaultStatsSnapshot totals = exited_;
  for (Mm& mm : mms_) totals += mm.fault_stats().Totals();
  return totals;
}

}  // namespace faultline
