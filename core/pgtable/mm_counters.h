// SPDX-License-Identifier: Apache-2.0
//
// What an mm counts on its fault path: pages mapped by kind and page tables (Linux: mm->rss_stat,
// mm->pgtables_bytes). One set for each CPU, on lines of their own, since every fault counts; a
// reader adds them up (Linux: percpu_counter). Guarantee: exact whenever nobody is counting.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/build.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class MmCounter : uint8_t {
  kAnonPages,   ///< MM_ANONPAGES: mapped pages of anonymous memory; the zero page is not counted
  kFilePages,   ///< MM_FILEPAGES: mapped pages of files
  kShmemPages,  ///< MM_SHMEMPAGES: mapped pages of shared anonymous memory
  kTables,      ///< page tables, of all levels, the root included
  kCount
};

class MmCounters {
 public:
  explicit MmCounters(const CpuSet& cpus) : shards_(cpus) {}

  void Add(MmCounter counter, int64_t amount) {
    auto& shard = shards_.Of(CurrentTask().cpu() % shards_.size());
    // Relaxed: a statistic. Atomic since a CPU slot may be shared by tasks.
    shard[static_cast<size_t>(counter)].FetchAdd(amount, kRelaxed);
  }
  [[nodiscard]] int64_t Sum(MmCounter counter) const {
    int64_t sum = 0;
    for (uint32_t cpu = 0; cpu < shards_.size(); ++cpu) {
      sum += shards_.Of(cpu)[static_cast<size_t>(counter)].Peek();
    }
    return sum;
  }
  /// Pages that are resident (Linux: get_mm_rss).
  [[nodiscard]] int64_t Rss() const {
    return Sum(MmCounter::kAnonPages) + Sum(MmCounter::kFilePages) + Sum(MmCounter::kShmemPages);
  }

 private:
  using Shard = std::array<Atomic<int64_t>, static_cast<size_t>(MmCounter::kCount)>;
  PerCpu<Shard> shards_;
};

}  // namespace faultline
