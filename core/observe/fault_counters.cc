// SPDX-License-Identifier: Apache-2.0
//
// Names of counters, in snake_case and where Linux has one with its name; sums and what is derived.
#include "core/observe/fault_counters.h"

#include <numeric>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(FaultCounter::kCount)> kCounters = {
    "vma_lock_abort", "vma_lock_retry", "vma_lock_miss",   "tables_allocated",
    "tables_unused",  "table_failures", "reclaim_retries", "fruitless_reclaims"};

}  // namespace

std::string_view Name(FaultCounter counter) {
  const auto index = static_cast<size_t>(counter);
  MM_CHECK_LT(index, kCounters.size());
  return kCounters[index];
}

int64_t FaultStatsSnapshot::Left(FaultRung rung) const {
  const auto& row = by_reason[static_cast<size_t>(rung)];
  return std::accumulate(row.begin(), row.end(), int64_t{0}) - Succeeded(rung);
}

int64_t FaultStatsSnapshot::Entered(FaultRung rung) const {
  return Succeeded(rung) + Left(rung) - Left(rung, LeaveReason::kKernelMode);
}

int64_t FaultStatsSnapshot::Ended() const {
  int64_t sum = 0;
  for (const auto& row : by_reason) sum += row[static_cast<size_t>(LeaveReason::kNone)];
  return sum;
}

FaultStatsSnapshot FaultStats::Snapshot() const {
  FaultStatsSnapshot snapshot;
  for (size_t rung = 0; rung < FaultStatsSnapshot::kRungs; ++rung) {
    for (size_t reason = 0; reason < FaultStatsSnapshot::kReasons; ++reason) {
      snapshot.by_reason[rung][reason] =
          exits_.Sum(ExitOf(static_cast<FaultRung>(rung), static_cast<LeaveReason>(reason)));
    }
  }
  for (size_t i = 0; i < snapshot.counters.size(); ++i) {
    snapshot.counters[i] = counters_.Sum(static_cast<FaultCounter>(i));
  }
  return snapshot;
}

void FaultStats::Reset() {
  exits_.Reset();
  counters_.Reset();
}

}  // namespace faultline
