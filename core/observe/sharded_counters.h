// SPDX-License-Identifier: Apache-2.0
//
// ShardedCounters: counts that the fault path increases (Linux: percpu_counter, vm_event_states).
// One set for each CPU, on cache lines of their own, so that counting shares no line; a reader adds
// them up. Enum is an enum class whose last enumerator is kCount.
//
// The first tasks, as many as there are CPUs, have a set for themselves each and pay a plain add
// (about 1 ns); those that come later share a set by CPU and pay an atomic one. Nothing is ever
// taken out of a set: a reset remembers what was counted until then.
// Guarantee: exact whenever nobody is counting. A count beside Reset falls on one side of it.
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
    const auto index = static_cast<size_t>(counter);
    const uint32_t id = CurrentTask().id();  // not 0, and no other live task has it
    if (id <= shards_.size()) [[likely]] {
      shards_.Of(id - 1).alone[index].AddAlone(amount);
    } else {
      shards_.Of(id % shards_.size()).together[index].Add(amount);
    }
  }
  [[nodiscard]] int64_t Sum(Enum counter) const {
    // First what was before: beside a reset a sum is then rather too great than below zero.
    const int64_t before = before_[static_cast<size_t>(counter)].Read();
    return Total(counter) - before;
  }
  /// Since the beginning, resets or not.
  [[nodiscard]] int64_t Total(Enum counter) const {
    const auto index = static_cast<size_t>(counter);
    int64_t sum = 0;
    for (uint32_t cpu = 0; cpu < shards_.size(); ++cpu) {
      const Shard& shard = shards_.Of(cpu);
      sum += shard.alone[index].Read() + shard.together[index].Read();
    }
    return sum;
  }
  /// Starts one at zero and returns what there was. One caller at a time.
  int64_t Reset(Enum counter) {
    const int64_t total = Total(counter);
    StatCounter& before = before_[static_cast<size_t>(counter)];
    const int64_t sum = total - before.Read();
    before.Set(total);
    return sum;
  }
  void Reset() {
    for (size_t i = 0; i < before_.size(); ++i) (void)Reset(static_cast<Enum>(i));
  }

 private:
  using Counters = std::array<StatCounter, static_cast<size_t>(Enum::kCount)>;
  struct Shard {
    Counters alone;     // increased by the task whose number belongs to the CPU
    Counters together;  // increased by all tasks with greater numbers
  };

  PerCpu<Shard> shards_;
  Counters before_;  // totals at the last reset
};

}  // namespace faultline
