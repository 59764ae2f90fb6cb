// SPDX-License-Identifier: Apache-2.0
//
// Statistics of locks, which are the whole server's; see observe_service.h.
#include <cstdint>
#include <utility>

#include "core/sync/lock_callers.h"
#include "core/sync/sync_clock.h"
#include "server/observe_service.h"
#include "server/statistics_message.h"

namespace faultline::server {
namespace {

v1::LockStatsLevel LevelToProto(LockStatsLevel level) {
  switch (level) {
    case LockStatsLevel::kWaits:
      return v1::LOCK_STATS_LEVEL_WAITS;
    case LockStatsLevel::kHolds:
      return v1::LOCK_STATS_LEVEL_HOLDS;
    default:
      return v1::LOCK_STATS_LEVEL_OFF;
  }
}

/// `before` if the request leaves it open.
OrRefusal<LockStatsLevel> LevelOf(v1::LockStatsLevel level, LockStatsLevel before) {
  switch (level) {
    case v1::LOCK_STATS_LEVEL_UNSPECIFIED:
      return before;
    case v1::LOCK_STATS_LEVEL_OFF:
      return LockStatsLevel::kOff;
    case v1::LOCK_STATS_LEVEL_WAITS:
      return LockStatsLevel::kWaits;
    case v1::LOCK_STATS_LEVEL_HOLDS:
      return LockStatsLevel::kHolds;
    default:
      return UnknownEnumValue("level", static_cast<int>(level),
                              "LOCK_STATS_LEVEL_UNSPECIFIED = 0, LOCK_STATS_LEVEL_OFF = 1, "
                              "LOCK_STATS_LEVEL_WAITS = 2, LOCK_STATS_LEVEL_HOLDS = 3");
  }
}

}  // namespace

ObserveService::Reactor* ObserveService::GetLockStatistics(
    Context* context, const v1::GetLockStatisticsRequest* request,
    v1::GetLockStatisticsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    const absl::MutexLock lock(&lock_stats_);
    response->set_level(LevelToProto(level_));
    response->set_clock_ns(SyncClockNs());
    AddTo(SnapshotLockStats(), *response);
    if (request->by_caller()) AddTo(SnapshotLockStatsByCaller(), *response);
    return {};
  });
}

ObserveService::Reactor* ObserveService::SetLockStatistics(
    Context* context, const v1::SetLockStatisticsRequest* request,
    v1::SetLockStatisticsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    const absl::MutexLock lock(&lock_stats_);
    OrRefusal<LockStatsLevel> level = LevelOf(request->level(), level_);
    if (!level.ok()) return std::move(level.refusal());
    response->set_previous_level(LevelToProto(level_));
    if (*level != level_) SetLockStatsLevel(*level);
    level_ = *level;
    if (request->reset()) ResetLockStats();
    return {};
  });
}

}  // namespace faultline::server
