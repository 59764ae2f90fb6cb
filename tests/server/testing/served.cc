// SPDX-License-Identifier: Apache-2.0
//
// The server in this process; see served.h. It is put together as main.cc does it.
#include "tests/server/testing/served.h"

#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>
#include <variant>

#include <absl/strings/str_cat.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/mm/abi.h"
#include "core/sync/rcu.h"

namespace faultline::server::testing {
namespace {

Config WithLimits(const Limits& limits) {
  Config config;
  config.limits = limits;
  return config;
}

Config At(Config config, const std::string& path) {
  Address address;
  address.kind = Address::Kind::kUnix;
  address.path = path;
  config.listen = {address};
  return config;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string path = (std::filesystem::temp_directory_path() / "faultline-XXXXXX").string();
  MM_CHECK(mkdtemp(path.data()) != nullptr);
  path_ = path;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool Eventually(absl::FunctionRef<bool()> condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

CallOptions WithMetadata(const std::string& key, const std::string& value) {
  return {.prepare = [=](grpc::ClientContext& context) { context.AddMetadata(key, value); }};
}

Served::Served(const Limits& limits) : Served(WithLimits(limits)) {}

Served::Served(const Config& config)
    : config_(At(config, directory_.path() + "/socket")),
      log_({.level = LogLevel::kError}),
      services_(MakeServices({config_, log_, metrics_})) {
  const auto all = services_->All();
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const NamedService& service : all) names.push_back(service.name);
  tracker_ = std::make_unique<CallTracker>(names, log_);
  auto started = Server::Start(config_.listen, config_.limits, all, *tracker_);
  if (const auto* why = std::get_if<std::string>(&started)) {
    ADD_FAILURE() << *why;
    std::abort();
  }
  server_ = std::get<std::unique_ptr<Server>>(std::move(started));
  memory_ = v1::MemoryService::NewStub(NewChannel());
}

Served::~Served() {
  memory_.reset();
  server_.reset();
  (void)State();  // validates
}

std::shared_ptr<grpc::Channel> Served::NewChannel() const {
  grpc::ChannelArguments arguments;
  // No connection is shared with another channel of this process.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(config_.listen.front().Text(),
                                   grpc::InsecureChannelCredentials(), arguments);
}

std::string Served::MakeMm(const v1::Mm& mm) {
  v1::CreateMmRequest request;
  request.set_parent("machines/default");
  *request.mutable_mm() = mm;
  const auto reply = Call(&MemoryStub::CreateMm, request);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  return reply.response.mm().name();
}

uint64_t Served::MapPages(const std::string& mm, uint64_t pages) {
  v1::MmapRequest request;
  request.set_mm(mm);
  request.set_length(pages * kPageSize);
  request.set_prot(abi::kProtRead | abi::kProtWrite);
  request.set_flags(abi::kMapPrivate | abi::kMapAnonymous);
  const auto reply = Call(&MemoryStub::Mmap, request);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.response.error(), 0);
  return reply.response.address();
}

MmUse Served::Use(const std::string& mm) {
  auto use = registry().UseMm(mm, "mm");
  MM_CHECK(use.ok());
  return *std::move(use);
}

MachineEntry& Served::default_machine() {
  auto machine = registry().FindMachine("machines/default", "");
  MM_CHECK(machine.ok());
  return **machine;  // the registry keeps it
}

std::string Served::State() {
  Rcu::Barrier();  // page tables become free in its callbacks
  MachineEntry& machine = default_machine();
  std::string state = absl::StrCat("free frames ", machine.machine().frames().free_frames(),
                                   ", threads ", registry().thread_count(), "\n");
  for (const auto& entry : machine.MmsFrom(0, SIZE_MAX)) {
    const MmUse use = entry->TryUse();
    if (!use) continue;
    use.mm().Validate();
    const FaultStatsSnapshot stats = use.mm().fault_stats().Snapshot();
    absl::StrAppend(&state, entry->name(), ": ", use.mm().map_count(), " VMAs, ",
                    entry->thread_count(), " threads, break ", use.mm().brk().value(),
                    entry->exiting() ? ", exiting" : "", ", faults");
    for (const auto& rung : stats.by_reason) {
      for (const int64_t count : rung) absl::StrAppend(&state, " ", count);
    }
    for (const int64_t count : stats.counters) absl::StrAppend(&state, " ", count);
    use.mm().ForEachVma([&](const MapsLine& line) {
      absl::StrAppend(&state, "\n  ", absl::Hex(line.range.start().value()), "-",
                      absl::Hex(line.range.end().value()), " ", absl::Hex(line.flags));
    });
    absl::StrAppend(&state, "\n");
  }
  return state;
}

bool Served::IsEmpty() {
  return registry().thread_count() == 0 && default_machine().mm_count() == 0;
}

// --- Attach
// ---------------------------------------------------------------------------------------

Attached::Attached(MemoryStub& stub, const CallOptions& options) {
  context_.set_deadline(std::chrono::system_clock::now() + options.deadline);
  options.prepare(context_);
  stream_ = stub.Attach(&context_);
}

Attached::Attached(MemoryStub& stub, const v1::AttachOpen& open, const CallOptions& options)
    : Attached(stub, options) {
  v1::AttachRequest request;
  *request.mutable_open() = open;
  stream_->Write(request);
  if (auto response = Receive(); response && response->has_opened()) opened_ = response->opened();
}

Attached::~Attached() {
  if (status_) return;
  Cancel();
  (void)Finish();
}

bool Attached::Send(const v1::OperationBatch& batch) {
  v1::AttachRequest request;
  *request.mutable_batch() = batch;
  return Send(request);
}

std::optional<v1::AttachResponse> Attached::Receive() {
  v1::AttachResponse response;
  if (!stream_->Read(&response)) return {};
  return response;
}

v1::OperationResults Attached::Run(const v1::OperationBatch& batch) {
  if (!Send(batch)) return {};
  auto response = Receive();
  return response ? response->results() : v1::OperationResults();
}

grpc::Status Attached::End() {
  CloseSending();
  return Finish();
}

grpc::Status Attached::Finish() {
  if (status_) return *status_;
  while (Receive()) {
  }
  status_ = stream_->Finish();
  return *status_;
}

}  // namespace faultline::server::testing
