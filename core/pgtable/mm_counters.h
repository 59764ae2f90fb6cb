// SPDX-License-Identifier: Apache-2.0
//
// What an mm counts on its fault path: pages mapped by kind and page tables (Linux: mm->rss_stat,
// mm->pgtables_bytes). One set for each CPU, on lines of their own, since every fault counts; a
// reader adds them up (Linux: percpu_counter). Guarantee: exact whenever nobody is counting.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/observe/sharded_counters.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class MmCounter : uint8_t {
  kAnonPages,   ///< MM_ANONPAGES: mapped pages of anonymous memory; the zero page is not counted
  kFilePages,   ///< MM_FILEPAGES: mapped pages of files
  kShmemPages,  ///< MM_SHMEMPAGES: mapped pages of shared anonymous memory
  kTables,      ///< page tables, of all levels, the root included
  kCount
};

class MmCounters : public ShardedCounters<MmCounter> {
 public:
  using ShardedCounters::ShardedCounters;

  /// Pages that are resident (Linux: get_mm_rss).
  [[nodiscard]] int64_t Rss() const {
    return Sum(MmCounter::kAnonPages) + Sum(MmCounter::kFilePages) + Sum(MmCounter::kShmemPages);
  }
};

}  // namespace faultline
