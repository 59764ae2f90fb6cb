// SPDX-License-Identifier: Apache-2.0
//
// Building and ending the gRPC server; see server.h.
//
// Why a drain cancels through the C core: grpc::Server::Shutdown waits until the last call has
// gone, watchers of health included, or until its deadline. What is left when our own calls have
// gone is cancelled by the same function that the deadline would call.
#include "server/server.h"

#include <future>
#include <limits>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

namespace faultline::server {
namespace {

/// How long there must be no call before connections are closed: one that came in just now may not
/// have been counted yet, and answers have to leave. It also gives watchers of health the time to
/// be told.
constexpr std::chrono::milliseconds kQuiet{100};
/// How long clients that go on calling in spite of being refused can put that off.
constexpr std::chrono::seconds kMostQuiet{1};

int Int(uint64_t value) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int>::max());
  return static_cast<int>(value < kMost ? value : kMost);
}

int Milliseconds(uint64_t seconds) { return Int(seconds * 1000); }

void SetLimits(const Limits& limits, grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota("faultlined");
  quota.Resize(limits.quota_memory_bytes).SetMaxThreads(Int(limits.quota_threads));
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(Int(limits.max_message_bytes));
  builder.SetMaxSendMessageSize(Int(limits.max_message_bytes));
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, Int(limits.max_concurrent_streams)},
      {GRPC_ARG_MAX_METADATA_SIZE, Int(limits.max_metadata_bytes)},
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(limits.handshake_seconds)},
      {GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(limits.idle_seconds)},
      {GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(limits.keepalive_seconds)},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(limits.keepalive_timeout_seconds)},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      // A server pings beside streams that are silent for long, as threads that wait are.
      {GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
       Milliseconds(limits.min_ping_interval_seconds)},
      // Two servers on one port would each get some of the clients.
      {GRPC_ARG_ALLOW_REUSEPORT, 0},
      {GRPC_ARG_ENABLE_CHANNELZ, 1},
  };
  for (const auto& [name, value] : arguments) builder.AddChannelArgument(name, value);
  // Reflection and channelz are of the blocking kind; the rest needs no threads of this sort.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
}

/// gRPC wants these before any server is built; again does no harm.
void AddGrpcServices() {
  static const bool once = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::channelz::experimental::InitChannelzService();
    return true;
  }();
  static_cast<void>(once);
}

std::string CannotListen(const Address& address, const std::string& why) {
  return absl::StrCat("listen: cannot listen on ", address.Text(), ": ", why);
}

std::atomic<Log*> grpc_log{nullptr};

void ForwardGrpcMessage(gpr_log_func_args* message) {
  Log* const log = grpc_log.load(std::memory_order_acquire);  // pairs with SendGrpcMessagesTo
  if (log == nullptr) return;
  const LogLevel level =
      message->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kError : LogLevel::kDebug;
  log->Write(level, "grpc", {{"what", message->message}});
}

}  // namespace

std::variant<std::unique_ptr<Server>, std::string> Server::Start(
    const std::vector<Address>& listen, const Limits& limits,
    const std::vector<NamedService>& services, CallTracker& tracker) {
  for (const Address& address : listen) {
    const std::string why = WhyNotBindable(address);
    if (!why.empty()) return CannotListen(address, why);
  }
  AddGrpcServices();
  grpc::ServerBuilder builder;
  SetLimits(limits, builder);
  std::vector<int> ports(listen.size());
  for (size_t i = 0; i < listen.size(); ++i) {
    builder.AddListeningPort(listen[i].Text(), grpc::InsecureServerCredentials(), &ports[i]);
  }
  for (const NamedService& service : services) builder.RegisterService(service.service);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(tracker.Factory());
  builder.experimental().SetInterceptorCreators(std::move(factories));

  std::unique_ptr<Server> server(new Server(listen, tracker));
  server->server_ = builder.BuildAndStart();
  for (size_t i = 0; i < listen.size(); ++i) {
    if (ports[i] == 0) return CannotListen(listen[i], "gRPC could not bind it");
    if (listen[i].kind == Address::Kind::kTcp) {
      server->addresses_[i].port = static_cast<uint16_t>(ports[i]);
    }
  }
  if (server->server_ == nullptr) return std::string("gRPC did not start");
  for (const NamedService& service : services) {
    server->server_->GetHealthCheckService()->SetServingStatus(service.name, true);
  }
  return server;
}

Server::~Server() {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

Server::DrainResult Server::Drain(std::chrono::seconds patience) {
  using Clock = CallTracker::Clock;
  server_->GetHealthCheckService()->Shutdown();
  tracker_.BeginDrain();
  const bool finished = tracker_.WaitForEarly(Clock::now() + patience, cut_short_);
  if (finished) tracker_.WaitUntilIdle(kQuiet, Clock::now() + kMostQuiet, cut_short_);
  // Shutdown sends GOAWAY and waits for all calls.
  auto shutdown = std::async(std::launch::async, [this] {
    server_->Shutdown(std::chrono::system_clock::now() + kMostQuiet);
  });
  // More than once, for what gRPC was about to begin.
  do {
    grpc_server_cancel_all_calls(server_->c_server());
  } while (shutdown.wait_for(kQuiet) != std::future_status::ready);
  server_.reset();
  return finished ? DrainResult::kFinished : DrainResult::kCutShort;
}

void Server::CutShort() {
  cut_short_.store(true);
  tracker_.Wake();
}

void DisableMutexDeadlockDetection() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

void SendGrpcMessagesTo(Log& log) {
  grpc_log.store(&log, std::memory_order_release);  // pairs with ForwardGrpcMessage
  gpr_set_log_function(ForwardGrpcMessage);
}

}  // namespace faultline::server
