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

static_assert(static_cast<size_t>(LeaveReason::kNone) == 0);

/// Calls change(count, other's count) for every count of `to`.
template <class Change>
void ForBoth(FaultStatsSnapshot& to, const FaultStatsSnapshot& other, const Change& change) {
  for (size_t rung = 0; rung < FaultStatsSnapshot::kRungs; ++rung) {
    for (size_t i = 0; i < FaultStatsSnapshot::kReasons; ++i) {
      change(to.by_reason[rung][i], other.by_reason[rung][i]);
    }
    for (size_t i = 0; i < FaultStatsSnapshot::kKinds; ++i) {
      change(to.by_kind[rung][i], other.by_kind[rung][i]);
    }
  }
  for (size_t i = 0; i < to.counters.size(); ++i) change(to.counters[i], other.counters[i]);
}

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

int64_t FaultStatsSnapshot::Ended(FaultKind kind) const {
  int64_t sum = 0;
  for (const auto& row : by_kind) sum += row[static_cast<size_t>(kind)];
  return sum;
}

FaultStatsSnapshot& FaultStatsSnapshot::operator+=(const FaultStatsSnapshot& other) {
  ForBoth(*this, other, [](int64_t& count, int64_t more) { count += more; });
  return *this;
}

FaultStatsSnapshot& FaultStatsSnapshot::operator-=(const FaultStatsSnapshot& other) {
  ForBoth(*this, other, [](int64_t& count, int64_t less) { count -= less; });
  return *this;
}

// -- FaultStats -----------------------------------------------------------------------------------

FaultStatsSnapshot FaultStats::Snapshot() const {
  return Collect([&](Exit exit) { return exits_.Sum(exit); },
                 [&](FaultCounter counter) { return counters_.Sum(counter); });
}

FaultStatsSnapshot FaultStats::Totals() const {
  return Collect([&](Exit exit) { return exits_.Total(exit); },
                 [&](FaultCounter counter) { return counters_.Total(counter); });
}

FaultStatsSnapshot FaultStats::Reset() {
  return Collect([&](Exit exit) { return exits_.Reset(exit); },
                 [&](FaultCounter counter) { return counters_.Reset(counter); });
}

/// Puts together what `exit` and `counter` give for each of them.
template <class Read, class ReadCounter>
FaultStatsSnapshot FaultStats::Collect(const Read& exit, const ReadCounter& counter) {
  FaultStatsSnapshot snapshot;
  for (size_t r = 0; r < FaultStatsSnapshot::kRungs; ++r) {
    const auto rung = static_cast<FaultRung>(r);
    auto& reasons = snapshot.by_reason[r];
    for (size_t kind = 0; kind < FaultStatsSnapshot::kKinds; ++kind) {
      const int64_t count = exit(EndOf(rung, static_cast<FaultKind>(kind)));
      snapshot.by_kind[r][kind] = count;
      reasons[static_cast<size_t>(LeaveReason::kNone)] += count;
    }
    for (size_t reason = 1; reason < FaultStatsSnapshot::kReasons; ++reason) {
      reasons[reason] = exit(ExitOf(rung, static_cast<LeaveReason>(reason)));
    }
  }
  for (size_t i = 0; i < snapshot.counters.size(); ++i) {
    snapshot.counters[i] = counter(static_cast<FaultCounter>(i));
  }
  return snapshot;
}

}  // namespace faultline
