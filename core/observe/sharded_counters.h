// SPDX-License-Identifier: Apache-2.0
//
// ShardedCounters: counts that the fault path increases (Linux: percpu_counter, vm_event_states).
// One set for each CPU, on cache lines of their own, so that counting shares no line; a reader adds
// them up. Enum is an enum class whose last enumerator is kCount.
//
// Guarantee: exact whenever nobody is counting.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/build.h"
#include "core/sync/stat_counter.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

template <class Enum>
class ShardedCounters {
 public:
  explicit ShardedCounters(const CpuSet& cpus) : shards_(cpus) {}

  void Add(Enum counter, int64_t amount) {
    const uint32_t cpu = CurrentTask().cpu();
    Shard& shard = shards_.Of(cpu < shards_.size() ? cpu : cpu % shards_.size());
    shard[static_cast<size_t>(counter)].Add(amount);
  }
  [[nodiscard]] int64_t Sum(Enum counter) const {
    int64_t sum = 0;
    for (uint32_t cpu = 0; cpu < shards_.size(); ++cpu) {
      sum += shards_.Of(cpu)[static_cast<size_t>(counter)].Read();
    }
    return sum;
  }
  void Reset() {
    for (uint32_t cpu = 0; cpu < shards_.size(); ++cpu) {
      for (StatCounter& counter : shards_.Of(cpu)) counter.Reset();
    }
  }

 private:
  using Shard = std::array<StatCounter, static_cast<size_t>(Enum::kCount)>;
  PerCpu<Shard> shards_;
};

}  // namespace faultline
