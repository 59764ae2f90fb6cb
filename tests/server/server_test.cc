// SPDX-License-Identifier: Apache-2.0
//
// The gRPC server around a service that stands still on demand: health, what a drain waits for and
// what not, what calls are counted as, and addresses that cannot be had. Clients are gRPC's own,
// over loopback and unix sockets.
#include "server/server.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "faultline/v1/machine.grpc.pb.h"
#include "server/health_probe.h"
#include "server/metrics.h"

namespace faultline::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::chrono::seconds kPatience{60};
constexpr const char* kServiceName = "faultline.v1.MachineService";

Address Loopback(uint16_t port = 0) {
  return {.kind = Address::Kind::kTcp, .host = "127.0.0.1", .port = port, .path = ""};
}

/// Its GetServerInfo waits for Release; ListSchemes answers at once.
class StandingService : public v1::MachineService::CallbackService {
 public:
  ~StandingService() override { Release(); }

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* /*request*/,
                                          v1::GetServerInfoResponse* reply) override {
    auto* const reactor = context->DefaultReactor();
    reply->set_build_id("after the wait");
    const std::lock_guard lock(mutex_);
    waiting_.push_back(reactor);
    came_.notify_all();
    return reactor;
  }
  grpc::ServerUnaryReactor* ListSchemes(grpc::CallbackServerContext* context,
                                        const v1::ListSchemesRequest* /*request*/,
                                        v1::ListSchemesResponse* /*reply*/) override {
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  void WaitForCalls(size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this, count] { return waiting_.size() == count; });
  }
  void ReleaseFirst() {
    const std::lock_guard lock(mutex_);
    waiting_.front()->Finish(grpc::Status::OK);
    waiting_.erase(waiting_.begin());
  }
  void Release() {
    const std::lock_guard lock(mutex_);
    for (auto* reactor : waiting_) reactor->Finish(grpc::Status::OK);
    waiting_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<grpc::ServerUnaryReactor*> waiting_;
};

class ServerTest : public ::testing::Test {
 protected:
  void Start(const std::vector<Address>& listen = {Loopback()}, const Limits& limits = {}) {
    auto started = Server::Start(listen, limits, {{kServiceName, &service_}}, tracker_);
    if (const auto* why = std::get_if<std::string>(&started)) FAIL() << *why;
    server_ = std::get<std::unique_ptr<Server>>(std::move(started));
  }
  [[nodiscard]] std::string Refusal(const std::vector<Address>& listen) {
    auto started = Server::Start(listen, Limits{}, {{kServiceName, &service_}}, tracker_);
    if (auto* why = std::get_if<std::string>(&started)) return *why;
    return {};
  }
  [[nodiscard]] std::string Target() const { return server_->addresses().at(0).Text(); }
  [[nodiscard]] std::unique_ptr<v1::MachineService::Stub> Client() const {
    return v1::MachineService::NewStub(
        grpc::CreateChannel(Target(), grpc::InsecureChannelCredentials()));
  }
  /// A call that stands still in the server, with which there are `count`.
  [[nodiscard]] std::future<grpc::Status> StandingCall(size_t count = 1) {
    auto call = std::async(std::launch::async, [stub = Client()] {
      grpc::ClientContext context;
      v1::GetServerInfoResponse reply;
      return stub->GetServerInfo(&context, {}, &reply);
    });
    service_.WaitForCalls(count);
    return call;
  }
  [[nodiscard]] std::string Metric(const std::string& name) const {
    Metrics metrics;
    metrics.Add(tracker_holder_);
    const std::string text = "\n" + metrics.Text();
    const size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return {};
    const size_t value = at + name.size() + 2;
    return text.substr(value, text.find('\n', value) - value);
  }

  Log log_{{.level = LogLevel::kError}};
  StandingService service_;
  const std::shared_ptr<CallTracker> tracker_holder_ =
      std::make_shared<CallTracker>(std::vector<std::string>{kServiceName}, log_);
  CallTracker& tracker_ = *tracker_holder_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, ServesOnEachAddressAndProbeSaysSo) {
  const std::string path = ::testing::TempDir() + "fl_" + std::to_string(getpid()) + ".sock";
  Start({Loopback(), {.kind = Address::Kind::kUnix, .host = "", .port = 0, .path = path}});
  for (const Address& address : server_->addresses()) {
    EXPECT_THAT(WhyNotServing(address.ForLocalClient().Text(), kPatience), IsEmpty())
        << address.Text();
  }
}

TEST_F(ServerTest, DrainSaysNotServingFinishesTheCallUnderWayAndClosesThePort) {
  Start();
  auto call = StandingCall();
  auto drain = std::async(std::launch::async, [this] { return server_->Drain(kPatience); });
  const std::string target = Target();
  std::string why;
  while (why.empty()) why = WhyNotServing(target, kPatience);
  EXPECT_EQ(why, target + " does not serve");
  service_.Release();
  EXPECT_TRUE(call.get().ok());
  EXPECT_EQ(drain.get(), Server::DrainResult::kFinished);
  EXPECT_THAT(WhyNotServing(target, kPatience), HasSubstr("no answer"));
}

TEST_F(ServerTest, DrainDoesNotWaitForCallsThatBeganLater) {
  Start();
  auto early = StandingCall();
  auto drain = std::async(std::launch::async, [this] { return server_->Drain(kPatience); });
  const auto client = Client();
  std::string why;
  while (why.empty()) why = WhyNotServing(Target(), kPatience);
  // Still answered, by a service that refuses nothing; one that stands still is cut in the end.
  grpc::ClientContext context;
  v1::ListSchemesResponse reply;
  EXPECT_TRUE(client->ListSchemes(&context, {}, &reply).ok());
  auto late = StandingCall(2);
  service_.ReleaseFirst();
  EXPECT_TRUE(early.get().ok());
  EXPECT_FALSE(late.get().ok());
  service_.Release();
  EXPECT_EQ(drain.get(), Server::DrainResult::kFinished);
}

TEST_F(ServerTest, DrainTellsWatchersOfHealthAndDoesNotWaitForThem) {
  Start();
  const auto channel = grpc::CreateChannel(Target(), grpc::InsecureChannelCredentials());
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto read = [&](grpc::GenericClientAsyncReaderWriter& watch) {
    grpc::ByteBuffer reply;
    watch.Read(&reply, nullptr);
    EXPECT_TRUE(next());
    grpc::Slice slice;
    EXPECT_TRUE(reply.DumpToSingleSlice(&slice).ok());
    return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
  };
  const auto watch = stub.PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  watch->StartCall(nullptr);
  ASSERT_TRUE(next());
  watch->Write(grpc::ByteBuffer(nullptr, 0), nullptr);
  ASSERT_TRUE(next());
  watch->WritesDone(nullptr);
  ASSERT_TRUE(next());
  EXPECT_EQ(read(*watch), "\x08\x01");
  auto drain = std::async(std::launch::async, [this] { return server_->Drain(kPatience); });
  EXPECT_EQ(read(*watch), "\x08\x02");
  EXPECT_EQ(drain.get(), Server::DrainResult::kFinished);
  grpc::Status status;
  watch->Finish(&status, nullptr);
  EXPECT_TRUE(next());
  EXPECT_FALSE(status.ok());
}

TEST_F(ServerTest, DrainThatIsCutShortCancelsWhatIsUnderWay) {
  Start();
  auto call = StandingCall();
  auto drain = std::async(std::launch::async, [this] { return server_->Drain(kPatience); });
  server_->CutShort();
  EXPECT_FALSE(call.get().ok());
  service_.Release();  // a handler ends when it sees the cancellation; this one now
  EXPECT_EQ(drain.get(), Server::DrainResult::kCutShort);
}

TEST_F(ServerTest, DrainWithoutPatienceCancelsWhatIsUnderWay) {
  Start();
  auto call = StandingCall();
  auto drain =
      std::async(std::launch::async, [this] { return server_->Drain(std::chrono::seconds(0)); });
  EXPECT_FALSE(call.get().ok());
  service_.Release();
  EXPECT_EQ(drain.get(), Server::DrainResult::kCutShort);
}

TEST_F(ServerTest, CallsAreCountedByMethodAndCode) {
  Start();
  const auto client = Client();
  grpc::ClientContext context;
  v1::ListSchemesResponse reply;
  EXPECT_TRUE(client->ListSchemes(&context, {}, &reply).ok());
  grpc::ClientContext other;
  v1::ListMachinesResponse machines;
  EXPECT_EQ(client->ListMachines(&other, {}, &machines).error_code(), grpc::UNIMPLEMENTED);
  auto call = StandingCall();
  EXPECT_EQ(tracker_.in_flight(), 1);
  const std::string method = "method=\"/faultline.v1.MachineService/";
  EXPECT_EQ(Metric("faultline_rpcs_in_flight{" + method + "GetServerInfo\"}"), "1");
  service_.Release();
  EXPECT_TRUE(call.get().ok());
  EXPECT_EQ(server_->Drain(kPatience), Server::DrainResult::kFinished);
  EXPECT_EQ(tracker_.in_flight(), 0);
  EXPECT_EQ(Metric("faultline_rpcs_total{" + method + "ListSchemes\",code=\"OK\"}"), "1");
  EXPECT_EQ(Metric("faultline_rpcs_total{" + method + "ListMachines\",code=\"UNIMPLEMENTED\"}"),
            "1");
  EXPECT_EQ(Metric("faultline_rpcs_total{" + method + "GetServerInfo\",code=\"OK\"}"), "1");
  EXPECT_EQ(Metric("faultline_rpcs_in_flight{" + method + "GetServerInfo\"}"), "0");
  EXPECT_EQ(Metric("faultline_rpc_duration_seconds_count{" + method + "ListSchemes\"}"), "1");
}

TEST_F(ServerTest, MessageBeyondTheLimitIsRefused) {
  Limits limits;
  limits.max_message_bytes = 65'536;
  Start({Loopback()}, limits);
  const auto client = Client();
  v1::CreateMachineRequest request;
  request.set_machine_id(std::string(70'000, 'x'));
  grpc::ClientContext context;
  v1::CreateMachineResponse reply;
  const grpc::Status status = client->CreateMachine(&context, request, &reply);
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  // It is gRPC that refuses, before there is a call to refuse: its sentence has both sizes.
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("larger than max"), HasSubstr("65536")));
  EXPECT_THAT(status.error_details(), IsEmpty());
}

TEST_F(ServerTest, AddressThatIsTakenIsNamedAndTheOwnerGoesOn) {
  const std::string path = ::testing::TempDir() + "fl_" + std::to_string(getpid()) + ".sock";
  Start({Loopback(), {.kind = Address::Kind::kUnix, .host = "", .port = 0, .path = path}});
  for (const Address& address : server_->addresses()) {
    EXPECT_THAT(Refusal({address}), AllOf(HasSubstr("cannot listen on " + address.Text()),
                                          HasSubstr("Address already in use")));
    EXPECT_THAT(WhyNotServing(address.ForLocalClient().Text(), kPatience), IsEmpty());
  }
}

TEST_F(ServerTest, SocketFileThatIsLeftOverIsReplacedAndOtherFilesAreNot) {
  const std::string path = ::testing::TempDir() + "fl_" + std::to_string(getpid()) + ".sock";
  const Address address{.kind = Address::Kind::kUnix, .host = "", .port = 0, .path = path};
  std::ofstream(path) << "mine";
  EXPECT_THAT(Refusal({address}), HasSubstr("no socket"));
  EXPECT_TRUE(std::ifstream(path).is_open());
  unlink(path.c_str());
  Address nowhere = address;
  nowhere.path = "/nonexistent/socket";
  EXPECT_THAT(Refusal({nowhere}), HasSubstr("No such file"));
}

}  // namespace
}  // namespace faultline::server
