// SPDX-License-Identifier: Apache-2.0
//
// ObserveService (observe.proto): statistics, maps and their kin, page tables, events of faults.
// One source file for each of these. What may wait for mmap_lock, or takes long, runs on workers;
// the streams are watch.h.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include "core/sync/lock_stats.h"
#include "faultline/v1/observe.grpc.pb.h"
#include "server/unary.h"
#include "server/watch.h"

namespace faultline::server {

class ObserveService final : public v1::ObserveService::CallbackService {
 public:
  /// Both outlive it.
  ObserveService(Calls& calls, WatchStreams& streams) : calls_(calls), streams_(streams) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  // observe_statistics.cc
  Reactor* GetStatistics(Context* context, const v1::GetStatisticsRequest* request,
                         v1::GetStatisticsResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchStatisticsResponse>* WatchStatistics(
      Context* context, const v1::WatchStatisticsRequest* request) override;
  Reactor* ResetStatistics(Context* context, const v1::ResetStatisticsRequest* request,
                           v1::ResetStatisticsResponse* response) override;

  // observe_locks.cc
  Reactor* GetLockStatistics(Context* context, const v1::GetLockStatisticsRequest* request,
                             v1::GetLockStatisticsResponse* response) override;
  Reactor* SetLockStatistics(Context* context, const v1::SetLockStatisticsRequest* request,
                             v1::SetLockStatisticsResponse* response) override;

  // observe_maps.cc
  Reactor* ReadMaps(Context* context, const v1::ReadMapsRequest* request,
                    v1::ReadMapsResponse* response) override;
  Reactor* ReadSmaps(Context* context, const v1::ReadSmapsRequest* request,
                     v1::ReadSmapsResponse* response) override;
  Reactor* ReadSmapsRollup(Context* context, const v1::ReadSmapsRollupRequest* request,
                           v1::ReadSmapsRollupResponse* response) override;
  Reactor* QueryVma(Context* context, const v1::QueryVmaRequest* request,
                    v1::QueryVmaResponse* response) override;

  // observe_tables.cc
  Reactor* ReadPagemap(Context* context, const v1::ReadPagemapRequest* request,
                       v1::ReadPagemapResponse* response) override;
  Reactor* DumpPageTables(Context* context, const v1::DumpPageTablesRequest* request,
                          v1::DumpPageTablesResponse* response) override;

  // observe_events.cc
  grpc::ServerWriteReactor<v1::WatchFaultEventsResponse>* WatchFaultEvents(
      Context* context, const v1::WatchFaultEventsRequest* request) override;

 private:
  [[nodiscard]] Registry& registry() { return calls_.registry(); }
  [[nodiscard]] const Epoch& epoch() { return calls_.registry().epoch(); }

  Calls& calls_;
  WatchStreams& streams_;
  absl::Mutex lock_stats_;  ///< of the whole server, whoever serves it
  LockStatsLevel level_ ABSL_GUARDED_BY(lock_stats_) = LockStatsLevel::kOff;
};

}  // namespace faultline::server
