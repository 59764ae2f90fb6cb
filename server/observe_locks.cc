// SPDX-License-Identifier: Apache-2.0
//
// Statistics of locks, which are the whole server's; see observe_service.h.
#include <cstdint>
#include <utility>

#include "core/sync/lock_callers.h"
#include "core/sync/sync_clock.h"
#include "server/api_enums.h"
#include "server/observe_service.h"
#include "server/options.h"
#include "server/statistics_message.h"

namespace faultline::server {
ObserveService::Reactor* ObserveService::GetLockStatistics(
    Context* context, const v1::GetLockStatisticsRequest* request,
    v1::GetLockStatisticsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    const absl::MutexLock lock(&lock_stats_);
    response->set_level(ToApi<v1::LockStatsLevel>(level_));
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
    OrRefusal<LockStatsLevel> level = Chosen(request->level(), "level", level_);
    if (!level.ok()) return std::move(level.refusal());
    response->set_previous_level(ToApi<v1::LockStatsLevel>(level_));
    if (*level != level_) SetLockStatsLevel(*level);
    level_ = *level;
    if (request->reset()) ResetLockStats();
    return {};
  });
}

}  // namespace faultline::server
