// SPDX-License-Identifier: Apache-2.0
//
// Implementation of lock_stats.h that both builds share: shards and their sums. Where the shards of
// all tasks are found is the flavour's business (native: TaskRegistry; modelled: Execution).
#include "core/sync/lock_stats.h"

#include <algorithm>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

std::atomic<WaitSink*> g_wait_sink{nullptr};

// Relaxed throughout: each counter has one writer and stands for itself.
void Increase(std::atomic<uint64_t>& counter, uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}
uint64_t Read(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}
void Clear(std::atomic<uint64_t>& counter) { counter.store(0, std::memory_order_relaxed); }

}  // namespace

void SetWaitSink(WaitSink* sink) {
  g_wait_sink.store(sink, std::memory_order_release);  // pairs with TellWaitSink
}

void detail::TellWaitSink(const WaitRecord& record) {
  WaitSink* sink = g_wait_sink.load(std::memory_order_acquire);  // pairs with SetWaitSink
  if (sink != nullptr) sink->OnWait(record);
}

bool LockStatsShard::Histogram::Add(uint64_t ns) {
  Increase(buckets[static_cast<size_t>(DurationHistogram::BucketOf(ns))], 1);
  Increase(count, 1);
  Increase(total_ns, ns);
  if (ns < Read(max_ns)) return false;
  max_ns.store(ns, std::memory_order_relaxed);
  return true;
}

void LockStatsShard::Histogram::AddTo(DurationHistogram& sum) const {
  for (size_t i = 0; i < buckets.size(); ++i) sum.buckets[i] += Read(buckets[i]);
  sum.count += Read(count);
  sum.total_ns += Read(total_ns);
  sum.max_ns = std::max(sum.max_ns, Read(max_ns));
}

void LockStatsShard::Histogram::Reset() {
  for (Counter& bucket : buckets) Clear(bucket);
  Clear(count);
  Clear(total_ns);
  Clear(max_ns);
}

void LockStatsShard::CountAcquired(LockRank rank, LockMode mode) {
  Class& c = classes_[static_cast<size_t>(rank)];
  Increase(mode == LockMode::kShared ? c.shared : c.exclusive, 1);
}

void LockStatsShard::CountWait(LockRank rank, uint64_t ns, uint32_t holder, bool killed) {
  Class& c = classes_[static_cast<size_t>(rank)];
  if (killed) Increase(c.killed, 1);
  if (c.wait.Add(ns)) c.longest_wait_holder.store(holder, std::memory_order_relaxed);
}

void LockStatsShard::CountHold(LockRank rank, uint64_t ns) {
  classes_[static_cast<size_t>(rank)].hold.Add(ns);
}

void LockStatsShard::AddTo(LockStatsSnapshot& sum) const {
  for (size_t i = 0; i < classes_.size(); ++i) {
    const Class& from = classes_[i];
    LockClassStats& to = sum[i];
    to.shared += Read(from.shared);
    to.exclusive += Read(from.exclusive);
    to.killed += Read(from.killed);
    to.contended += Read(from.wait.count);
    if (Read(from.wait.count) != 0 && Read(from.wait.max_ns) >= to.wait.max_ns) {
      to.longest_wait_holder = static_cast<uint32_t>(Read(from.longest_wait_holder));
    }
    from.wait.AddTo(to.wait);
    from.hold.AddTo(to.hold);
  }
}

void LockStatsShard::Reset() {
  for (Class& c : classes_) {
    for (Counter* counter : {&c.shared, &c.exclusive, &c.killed, &c.longest_wait_holder}) {
      Clear(*counter);
    }
    c.wait.Reset();
    c.hold.Reset();
  }
}

}  // namespace faultline
