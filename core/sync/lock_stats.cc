// SPDX-License-Identifier: Apache-2.0
//
// Implementation of lock_stats.h that both builds share: shards and their sums. Where the shards of
// all tasks are found is the flavour's business (native: TaskRegistry; modelled: Execution).
#include "core/sync/lock_stats.h"

#include <atomic>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

std::atomic<WaitSink*> g_wait_sink{nullptr};

}  // namespace

void SetWaitSink(WaitSink* sink) {
  g_wait_sink.store(sink, std::memory_order_release);  // pairs with TellWaitSink
}

void detail::TellWaitSink(const WaitRecord& record) {
  WaitSink* sink = g_wait_sink.load(std::memory_order_acquire);  // pairs with SetWaitSink
  if (sink != nullptr) sink->OnWait(record);
}

void LockStatsShard::CountAcquired(LockRank rank, LockMode mode) {
  Class& c = classes_[static_cast<size_t>(rank)];
  (mode == LockMode::kShared ? c.shared : c.exclusive).Add(1);
}

void LockStatsShard::CountWait(LockRank rank, uint64_t ns, uint32_t holder, bool killed) {
  Class& c = classes_[static_cast<size_t>(rank)];
  if (killed) c.killed.Add(1);
  if (c.wait.Add(ns)) c.longest_wait_holder.Set(holder);
}

void LockStatsShard::CountHold(LockRank rank, uint64_t ns) {
  classes_[static_cast<size_t>(rank)].hold.Add(ns);
}

void LockStatsShard::AddTo(LockStatsSnapshot& sum) const {
  for (size_t i = 0; i < classes_.size(); ++i) {
    const Class& from = classes_[i];
    LockClassStats& to = sum[i];
    to.shared += from.shared.Read();
    to.exclusive += from.exclusive.Read();
    to.killed += from.killed.Read();
    to.contended += from.wait.count();
    if (from.wait.count() != 0 && from.wait.max_ns() >= to.wait.max_ns) {
      to.longest_wait_holder = static_cast<uint32_t>(from.longest_wait_holder.Read());
    }
    from.wait.AddTo(to.wait);
    from.hold.AddTo(to.hold);
  }
}

void LockStatsShard::Reset() {
  for (Class& c : classes_) {
    for (TaskCounter* counter : {&c.shared, &c.exclusive, &c.killed, &c.longest_wait_holder}) {
      counter->Set(0);
    }
    c.wait.Reset();
    c.hold.Reset();
  }
  callers_.Reset();
}

}  // namespace faultline
