// SPDX-License-Identifier: Apache-2.0
//
// Statistics (statistics.proto) of mms, machines and locks as they are now; those of faults alone,
// and differences between two readings, are fault_statistics.h. Counts of zero are left out as the
// messages say. Nothing here sleeps or takes a lock of an mm: counters are added up over the CPUs,
// and what only the holder of mmap_lock writes is read as a hint.
#pragma once

#include "core/sync/lock_callers.h"
#include "core/sync/lock_stats.h"
#include "faultline/v1/observe.pb.h"
#include "faultline/v1/statistics.pb.h"
#include "server/machine_entry.h"
#include "server/mm_entry.h"

namespace faultline::server {

/// Of an mm that the caller uses.
void ToProto(const MmUse& mm, v1::MmStatistics& out);
/// Of a machine, the faults of all its mms included.
void ToProto(MachineEntry& machine, v1::MachineStatistics& out);
/// Classes for which anything was counted, behind those that are there.
void AddTo(const LockStatsSnapshot& stats, v1::GetLockStatisticsResponse& out);
/// The same by caller.
void AddTo(const LockStatsByCaller& stats, v1::GetLockStatisticsResponse& out);

}  // namespace faultline::server
