// SPDX-License-Identifier: Apache-2.0
//
// A server with the laboratory alone, for tests: its services over a registry of their own, and a
// client in the same process.
//
// Guarantee that tests check at their end (Nothing...): no run leaves anything in the registry.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/text_format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "faultline/v1/error.pb.h"
#include "faultline/v1/lab.grpc.pb.h"
#include "server/epoch.h"
#include "server/lab_service.h"
#include "server/lab_stream.h"
#include "server/limits.h"
#include "server/registry.h"
#include "server/unary.h"
#include "server/worker_pool.h"

namespace faultline::server {

class LabWorld {
 public:
  explicit LabWorld(const Limits& limits = Limits())
      : limits_(limits),
        workers_({.max_threads = limits.unary_workers, .max_queue = limits.unary_queue}),
        registry_(limits_, epoch_, workers_),
        calls_(registry_),
        runs_(limits_),
        service_(calls_, runs_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::LabService::NewStub(server_->InProcessChannel({}));
  }
  ~LabWorld() {
    server_->Shutdown();
    registry_.Close();
  }
  LabWorld(const LabWorld&) = delete;
  LabWorld& operator=(const LabWorld&) = delete;

  [[nodiscard]] v1::LabService::Stub& stub() { return *stub_; }
  [[nodiscard]] Registry& registry() { return registry_; }
  [[nodiscard]] LabRuns& runs() { return runs_; }
  [[nodiscard]] MachineEntry& machine() {
    return **registry_.FindMachine("machines/default", "machine");
  }

  /// Nothing of any run is left.
  void ExpectNothingLeft() {
    EXPECT_EQ(machine().mm_count(), 0);
    EXPECT_TRUE(machine().FilesFrom(0, 1).empty());
    EXPECT_EQ(registry_.thread_count(), 0);
  }

 private:
  const Limits limits_;
  const Epoch epoch_{0x123456789abcdef0};
  WorkerPool workers_;
  Registry registry_;
  Calls calls_;
  LabRuns runs_;
  LabService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::LabService::Stub> stub_;
};

/// What a server-streaming call sent, and how it ended.
template <class Response>
struct Streamed {
  std::vector<Response> messages;
  grpc::Status status;
};

/// `on_message` is called with each message and the call's context, which it may cancel.
template <class Response, class Reader>
Streamed<Response> ReadAll(
    grpc::ClientContext& context, Reader reader,
    const std::function<void(const Response&, grpc::ClientContext&)>& on_message) {
  Streamed<Response> streamed;
  for (Response message; reader->Read(&message);) {
    if (on_message) on_message(message, context);
    streamed.messages.push_back(message);
  }
  streamed.status = reader->Finish();
  return streamed;
}

using OnRunMessage = std::function<void(const v1::RunWorkloadResponse&, grpc::ClientContext&)>;
inline Streamed<v1::RunWorkloadResponse> RunWorkload(LabWorld& world,
                                                     const v1::RunWorkloadRequest& request,
                                                     const OnRunMessage& on_message = {}) {
  grpc::ClientContext context;
  return ReadAll<v1::RunWorkloadResponse>(context, world.stub().RunWorkload(&context, request),
                                          on_message);
}

using OnExploreMessage = std::function<void(const v1::ExploreResponse&, grpc::ClientContext&)>;
inline Streamed<v1::ExploreResponse> Explore(LabWorld& world, const v1::ExploreRequest& request,
                                             const OnExploreMessage& on_message = {}) {
  grpc::ClientContext context;
  return ReadAll<v1::ExploreResponse>(context, world.stub().Explore(&context, request), on_message);
}

/// The detail that came with a status.
inline v1::ErrorDetail DetailOf(const grpc::Status& status) {
  v1::RpcStatus rpc_status;
  v1::ErrorDetail detail;
  if (rpc_status.ParseFromString(status.error_details()) && rpc_status.details_size() == 1) {
    rpc_status.details(0).UnpackTo(&detail);
  }
  return detail;
}

/// "REASON field = value" of a refusal.
inline std::string RefusalOf(const grpc::Status& status) {
  const v1::ErrorDetail detail = DetailOf(status);
  std::string reason = v1::ErrorReason_Name(detail.reason());
  reason.erase(0, std::string("ERROR_REASON_").size());
  return reason + " " + detail.field() + " = " + detail.value();
}

template <class Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

}  // namespace faultline::server
