// SPDX-License-Identifier: Apache-2.0
//
// What fault_bench knows of the core's own counts, in one place: a count that a world does not
// keep, such as the running kernel's, is "nothing" here and "-" in the tables. Counts are read
// while no fault is under way and compared as differences, so that nobody has to reset them.
// Everything else in fault_bench works without them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/machine/machine.h"

namespace faultline::bench {

enum class FaultCount : uint8_t {
  kLeftTopRung,       ///< faults that did not end on the first rung of their scheme
  kTablesAllocated,   ///< page tables that faults allocated
  kTablesThrownAway,  ///< of those, the ones given back unused
  kTableFailures,     ///< tables that could not be had
  kRetries,           ///< faults begun again after reclaim
  kReclaimEntries,    ///< direct reclaim entered by a fault
  kKswapdWakes,       ///< allocations that found memory low
  kFreedByOthers,     ///< frames that a Freer gave back meanwhile; none without one
  kCount
};

/// By FaultCount; nothing: the core does not count it.
using FaultCounts = std::array<std::optional<uint64_t>, static_cast<size_t>(FaultCount::kCount)>;

inline std::optional<uint64_t> Of(const FaultCounts& counts, FaultCount which) {
  return counts[static_cast<size_t>(which)];
}

/// Before anything was counted.
inline FaultCounts NoneYet() {
  FaultCounts counts;
  counts.fill(0);
  return counts;
}

/// Adds what was counted between two readings to `sum`. A count that one of them lacks is lost.
inline void AddDifference(FaultCounts& sum, const FaultCounts& before, const FaultCounts& after) {
  for (size_t i = 0; i < sum.size(); ++i) {
    const bool known = sum[i] && before[i] && after[i];
    sum[i] = known ? std::optional(*sum[i] + *after[i] - *before[i]) : std::nullopt;
  }
}

/// Faults that did not end on the rung that they tried first, which is the topmost that any tried.
inline int64_t LeftTopRung(const FaultStatsSnapshot& stats) {
  for (const FaultRung rung : {FaultRung::kValidated, FaultRung::kVmaLock, FaultRung::kMmapLock}) {
    if (stats.Entered(rung) > 0) return stats.Ended() - stats.Succeeded(rung);
  }
  return 0;
}

/// The counts of `mm` and its machine up to now; called while none of the mm's faults is under way.
inline FaultCounts ReadFaultCounts(Machine& machine, Mm& mm) {
  const FaultStatsSnapshot stats = mm.fault_stats().Snapshot();
  FaultCounts counts;
  const auto set = [&counts](FaultCount which, int64_t count) {
    counts[static_cast<size_t>(which)] = static_cast<uint64_t>(count);
  };
  set(FaultCount::kLeftTopRung, LeftTopRung(stats));
  set(FaultCount::kTablesAllocated, stats.Count(FaultCounter::kTablesAllocated));
  set(FaultCount::kTablesThrownAway, stats.Count(FaultCounter::kTablesUnused));
  set(FaultCount::kTableFailures, stats.Count(FaultCounter::kTableFailures));
  set(FaultCount::kRetries, stats.Count(FaultCounter::kReclaimRetries));
  set(FaultCount::kReclaimEntries, machine.frames().events().Sum(AllocEvent::kAllocstall));
  set(FaultCount::kKswapdWakes, machine.frames().events().Sum(AllocEvent::kKswapdWake));
  set(FaultCount::kFreedByOthers, 0);
  return counts;
}

}  // namespace faultline::bench
