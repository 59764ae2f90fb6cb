// SPDX-License-Identifier: Apache-2.0
//
// Implementation of duration_histogram.h: counting one duration, adding up, starting anew. A reset
// beside a task that counts may leave that task's latest durations in.
#include "core/sync/duration_histogram.h"

#include <algorithm>

namespace faultline::inline FAULTLINE_FLAVOUR {

bool TaskHistogram::Add(uint64_t ns) {
  buckets_[static_cast<size_t>(DurationHistogram::BucketOf(ns))].Add(1);
  count_.Add(1);
  total_ns_.Add(ns);
  if (ns < max_ns_.Read()) return false;
  max_ns_.Set(ns);
  return true;
}

void TaskHistogram::AddTo(DurationHistogram& sum) const {
  for (size_t i = 0; i < buckets_.size(); ++i) sum.buckets[i] += buckets_[i].Read();
  sum.count += count_.Read();
  sum.total_ns += total_ns_.Read();
  sum.max_ns = std::max(sum.max_ns, max_ns_.Read());
}

void TaskHistogram::Reset() {
  for (TaskCounter& bucket : buckets_) bucket.Set(0);
  for (TaskCounter* counter : {&count_, &total_ns_, &max_ns_}) counter->Set(0);
}

}  // namespace faultline
