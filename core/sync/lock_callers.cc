// SPDX-License-Identifier: Apache-2.0
//
// Implementation of lock_callers.h that both builds share. Where the shards of all tasks are found
// is the flavour's business, as with lock_stats.cc.
#include "core/sync/lock_callers.h"

#include <algorithm>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

size_t LockStatsByCaller::SlotOf(LockRank rank, uint16_t tag, LockMode mode) {
  const auto* const found = std::find(kRanksByCaller.begin(), kRanksByCaller.end(), rank);
  MM_CHECK(found != kRanksByCaller.end());
  const auto rank_index = static_cast<size_t>(found - kRanksByCaller.begin());
  const size_t tag_index = std::min<size_t>(tag, kCallerTags - 1);
  return (rank_index * kCallerTags + tag_index) * kModes + static_cast<size_t>(mode);
}

LockCallersShard::~LockCallersShard() {
  // Relaxed: nobody else is left.
  for (std::atomic<Counts*>& counts : counts_) delete counts.load(std::memory_order_relaxed);
}

bool LockCallersShard::IsCounted(LockRank rank) {
  return std::find(kRanksByCaller.begin(), kRanksByCaller.end(), rank) != kRanksByCaller.end();
}

LockCallersShard::Counts& LockCallersShard::Of(Caller caller) {
  std::atomic<Counts*>& slot =
      counts_[LockStatsByCaller::SlotOf(caller.rank, caller.tag, caller.mode)];
  Counts* counts = slot.load(std::memory_order_relaxed);  // relaxed: only this task stores
  if (counts == nullptr) {
    counts = new Counts;
    slot.store(counts, std::memory_order_release);  // pairs with AddTo and Reset
  }
  return *counts;
}

void LockCallersShard::CountAcquired(Caller caller) {
  if (IsCounted(caller.rank)) Of(caller).acquired.Add(1);
}

void LockCallersShard::CountWait(Caller caller, uint64_t ns, uint32_t holder, bool killed) {
  if (!IsCounted(caller.rank)) return;
  Counts& counts = Of(caller);
  if (killed) counts.killed.Add(1);
  if (counts.wait.Add(ns)) counts.longest_wait_holder.Set(holder);
}

void LockCallersShard::CountHold(Caller caller, uint64_t ns) {
  if (IsCounted(caller.rank)) Of(caller).hold.Add(ns);
}

void LockCallersShard::AddTo(LockStatsByCaller& sum) const {
  for (size_t i = 0; i < counts_.size(); ++i) {
    const Counts* from = counts_[i].load(std::memory_order_acquire);  // pairs with Of
    if (from == nullptr) continue;
    LockCallerStats& to = sum.stats_[i];
    to.acquired += from->acquired.Read();
    to.killed += from->killed.Read();
    to.contended += from->wait.count();
    if (from->wait.count() != 0 && from->wait.max_ns() >= to.wait.max_ns) {
      to.longest_wait_holder = static_cast<uint32_t>(from->longest_wait_holder.Read());
    }
    from->wait.AddTo(to.wait);
    from->hold.AddTo(to.hold);
  }
}

void LockCallersShard::Reset() {
  for (std::atomic<Counts*>& slot : counts_) {
    Counts* counts = slot.load(std::memory_order_acquire);  // pairs with Of
    if (counts == nullptr) continue;
    for (TaskCounter* counter :
         {&counts->acquired, &counts->killed, &counts->longest_wait_holder}) {
      counter->Set(0);
    }
    counts->wait.Reset();
    counts->hold.Reset();
  }
}

}  // namespace faultline
