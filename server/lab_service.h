// SPDX-License-Identifier: Apache-2.0
//
// LabService (lab.proto): workloads inside the server, at the speed of the core, and searches over
// interleavings.
//
// A workload's threads call the core directly (lab_turn.h); a search runs the modelled core
// (explorer/explorer.h). Both are streams that work on threads of their own (lab_stream.h).
#pragma once

#include "faultline/v1/lab.grpc.pb.h"
#include "server/lab_stream.h"
#include "server/unary.h"

namespace faultline::server {

class LabService final : public v1::LabService::CallbackService {
 public:
  /// Both outlive it.
  LabService(Calls& calls, LabRuns& runs) : calls_(calls), runs_(runs) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ListWorkloads(Context* context, const v1::ListWorkloadsRequest* request,
                         v1::ListWorkloadsResponse* response) override;
  grpc::ServerWriteReactor<v1::RunWorkloadResponse>* RunWorkload(
      Context* context, const v1::RunWorkloadRequest* request) override;

  Reactor* ListScenarios(Context* context, const v1::ListScenariosRequest* request,
                         v1::ListScenariosResponse* response) override;
  grpc::ServerWriteReactor<v1::ExploreResponse>* Explore(
      Context* context, const v1::ExploreRequest* request) override;
  Reactor* Replay(Context* context, const v1::ReplayRequest* request,
                  v1::ReplayResponse* response) override;

 private:
  Calls& calls_;
  LabRuns& runs_;
};

}  // namespace faultline::server
