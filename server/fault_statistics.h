// SPDX-License-Identifier: Apache-2.0
//
// Counters of the core as the API's messages (statistics.proto), and differences between two
// readings of those that the core has none for: what a measurement came to.
//
// A counter of locks that went backwards was reset in between by somebody else; it counts from
// there.
#pragma once

#include "core/observe/fault_counters.h"
#include "core/sync/duration_histogram.h"
#include "core/sync/lock_stats.h"
#include "faultline/v1/lab.pb.h"
#include "faultline/v1/statistics.pb.h"

namespace faultline::server {

/// What came between the two.
[[nodiscard]] DurationHistogram Between(const DurationHistogram& before,
                                        const DurationHistogram& after);

void ToProto(const FaultStatsSnapshot& faults, v1::FaultStatistics& out);
void ToProto(const DurationHistogram& histogram, v1::DurationHistogram& out);

/// What was counted about locks at one moment.
struct LockReading {
  LockStatsSnapshot by_rank;
  LockStatsByCaller by_caller;
  [[nodiscard]] static LockReading Now();
};
/// What came between the two, without those of which nothing was counted.
void AddLocksBetween(const LockReading& before, const LockReading& after, v1::WorkloadResult& out);

}  // namespace faultline::server
