// SPDX-License-Identifier: Apache-2.0
//
// Counters as messages; see fault_statistics.h.
//
// The longest of a histogram's durations cannot be had of a difference: it is the longest of all
// until then, and at most what the highest bucket of the difference can hold.
#include "server/fault_statistics.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "server/api_enums.h"
#include "server/options.h"

namespace faultline::server {
namespace {

constexpr auto kRungs = FaultStatsSnapshot::kRungs;
constexpr auto kReasons = FaultStatsSnapshot::kReasons;
constexpr auto kKinds = FaultStatsSnapshot::kKinds;

/// From `before` to `after`, or from 0 if it was reset.
template <class T>
T Grown(T before, T after) {
  return after >= before ? after - before : after;
}

void FillRung(const FaultStatsSnapshot& faults, FaultRung rung, v1::RungStatistics& out) {
  out.set_rung(ToProto(rung));
  out.set_ended(static_cast<uint64_t>(faults.Succeeded(rung)));
  out.set_entered(static_cast<uint64_t>(faults.Entered(rung)));
  for (size_t i = 0; i < kReasons; ++i) {
    const auto reason = static_cast<LeaveReason>(i);
    const int64_t count = faults.Left(rung, reason);
    if (reason == LeaveReason::kNone || count == 0) continue;
    v1::ReasonCount& left = *out.add_left();
    left.set_reason(ToProto(reason));
    left.set_count(static_cast<uint64_t>(count));
  }
}

}  // namespace

DurationHistogram Between(const DurationHistogram& before, const DurationHistogram& after) {
  if (after.count < before.count) return after;
  DurationHistogram between = after;
  between.count -= before.count;
  between.total_ns = Grown(before.total_ns, after.total_ns);
  uint64_t most = 0;
  for (size_t i = 0; i < between.buckets.size(); ++i) {
    between.buckets[i] = Grown(before.buckets[i], after.buckets[i]);
    if (between.buckets[i] == 0) continue;
    most = i + 1 == between.buckets.size() ? UINT64_MAX : (uint64_t{2} << i) - 1;
  }
  between.max_ns = std::min(between.max_ns, most);
  return between;
}

void ToProto(const FaultStatsSnapshot& faults, v1::FaultStatistics& out) {
  out.set_ended(static_cast<uint64_t>(faults.Ended()));
  for (size_t i = 0; i < kRungs; ++i) {
    const auto rung = static_cast<FaultRung>(i);
    if (faults.Entered(rung) != 0) FillRung(faults, rung, *out.add_rungs());
  }
  for (size_t i = 0; i < faults.counters.size(); ++i) {
    if (faults.counters[i] == 0) continue;
    v1::FaultCounterValue& counter = *out.add_counters();
    counter.set_counter(ToApi<v1::FaultCounter>(static_cast<FaultCounter>(i)));
    counter.set_value(static_cast<uint64_t>(faults.counters[i]));
  }
  for (size_t i = 0; i < kKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    if (faults.Ended(kind) == 0) continue;
    v1::FaultKindCount& count = *out.add_kinds();
    count.set_kind(ToApi<v1::FaultKind>(kind));
    count.set_count(static_cast<uint64_t>(faults.Ended(kind)));
  }
}

void ToProto(const DurationHistogram& histogram, v1::DurationHistogram& out) {
  size_t used = histogram.buckets.size();
  while (used > 0 && histogram.buckets[used - 1] == 0) --used;
  for (size_t i = 0; i < used; ++i) out.add_buckets(histogram.buckets[i]);
  out.set_count(histogram.count);
  out.set_total_ns(histogram.total_ns);
  out.set_max_ns(histogram.max_ns);
}

LockReading LockReading::Now() {
  return {.by_rank = SnapshotLockStats(), .by_caller = SnapshotLockStatsByCaller()};
}

namespace {

void AddRankBetween(LockRank rank, const LockClassStats& before, const LockClassStats& after,
                    v1::WorkloadResult& out) {
  const DurationHistogram hold = Between(before.hold, after.hold);
  const uint64_t contended = Grown(before.contended, after.contended);
  const uint64_t acquired =
      Grown(before.shared, after.shared) + Grown(before.exclusive, after.exclusive);
  if (contended == 0 && acquired == 0 && hold.count == 0) return;
  v1::LockStatistics& lock = *out.add_locks();
  lock.set_rank(ToProto(rank));
  lock.set_shared(Grown(before.shared, after.shared));
  lock.set_exclusive(Grown(before.exclusive, after.exclusive));
  lock.set_contended(contended);
  lock.set_killed(Grown(before.killed, after.killed));
  ToProto(Between(before.wait, after.wait), *lock.mutable_wait());
  ToProto(hold, *lock.mutable_hold());
  lock.set_longest_wait_holder(after.longest_wait_holder);
}

struct Caller {
  LockRank rank;
  uint16_t tag;
  LockMode mode;
};

void AddCallerBetween(const Caller& caller, const LockCallerStats& before,
                      const LockCallerStats& after, v1::WorkloadResult& out) {
  const DurationHistogram hold = Between(before.hold, after.hold);
  const uint64_t contended = Grown(before.contended, after.contended);
  const uint64_t acquired = Grown(before.acquired, after.acquired);
  if (contended == 0 && acquired == 0 && hold.count == 0) return;
  v1::LockStatistics& lock = *out.add_locks();
  lock.set_rank(ToProto(caller.rank));
  lock.set_caller(ToProto(static_cast<Activity>(caller.tag)));
  const bool shared = caller.mode == LockMode::kShared;
  lock.set_mode(ToApi<v1::LockMode>(caller.mode));
  if (shared) {
    lock.set_shared(acquired);
  } else {
    lock.set_exclusive(acquired);
  }
  lock.set_contended(contended);
  lock.set_killed(Grown(before.killed, after.killed));
  ToProto(Between(before.wait, after.wait), *lock.mutable_wait());
  ToProto(hold, *lock.mutable_hold());
  lock.set_longest_wait_holder(after.longest_wait_holder);
}

}  // namespace

void AddLocksBetween(const LockReading& before, const LockReading& after, v1::WorkloadResult& out) {
  for (size_t i = 0; i < after.by_rank.size(); ++i) {
    const auto rank = static_cast<LockRank>(i);
    AddRankBetween(rank, before.by_rank[i], after.by_rank[i], out);
    if (std::find(kRanksByCaller.begin(), kRanksByCaller.end(), rank) == kRanksByCaller.end()) {
      continue;
    }
    for (uint16_t tag = 0; tag < static_cast<uint16_t>(Activity::kCount); ++tag) {
      for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
        AddCallerBetween({.rank = rank, .tag = tag, .mode = mode},
                         before.by_caller.Of(rank, tag, mode), after.by_caller.Of(rank, tag, mode),
                         out);
      }
    }
  }
}

}  // namespace faultline::server
