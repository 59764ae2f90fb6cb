// SPDX-License-Identifier: Apache-2.0
//
// What stays of clients in a real faultlined: nothing. A thousand streams at once and afterwards
// all is as before; clients that are killed in the middle of a batch leave no lock held and no
// memory taken; a SIGTERM fails no call that has begun.
//
// By default each is a few seconds of it. With FAULTLINE_LIFETIME=full in the environment: 1000
// streams for 60 s, 200 clients killed; figures are printed either way.
//
//   FAULTLINE_LIFETIME=full build/release/tests/server/lifetime/server_lifetime_test
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "faultline/v1/memory.grpc.pb.h"
#include "tests/server/testing/child_process.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using Clock = std::chrono::steady_clock;

bool IsFull() {
  const char* const value = getenv("FAULTLINE_LIFETIME");
  return value != nullptr && std::string(value) == "full";
}

/// A client killed leaves everything free within this; under a sanitizer or a load, later.
constexpr std::chrono::seconds kSoon{1};

/// gRPC's own threads come and go by themselves.
constexpr size_t kGrpcThreads = 8;
/// Frames may be on the lists of CPUs that the counting thread does not run on; a client that left
/// something would have left thousands.
constexpr double kFramesOnLists = 256;

class LifetimeTest : public ::testing::Test {
 protected:
  LifetimeTest() {
    EXPECT_TRUE(server_.ReadUntil("serving"));
    stub_ = v1::MemoryService::NewStub(
        grpc::CreateChannel(target_, grpc::InsecureChannelCredentials()));
    v1::CreateMmRequest create;
    create.set_parent("machines/default");
    create.mutable_mm()->mutable_options()->mutable_fault()->set_scheme(v1::SCHEME_RCU_RESTART);
    v1::CreateMmResponse made;
    grpc::ClientContext context;
    EXPECT_THAT(stub_->CreateMm(&context, create, &made), IsOk());
    mm_ = made.mm().name();
    // The first ones of everything that is kept: what comes later is compared with this.
    EXPECT_GT(CountPages(), 0U);
    EXPECT_TRUE(IsFree());
  }

  [[nodiscard]] std::unique_ptr<ChildProcess> StartClient(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {FAULTLINE_LOAD_CLIENT, target_});
    return std::make_unique<ChildProcess>(arguments, ChildProcess::Output::kStdout);
  }

  /// How many pages a new mm can fill before memory runs out: every frame that is free counts.
  uint64_t CountPages() {
    v1::AttachOpen open;
    open.set_machine("machines/default");
    Attached thread(*stub_, open);
    v1::OperationBatch batch;
    batch.set_operations(2);
    batch.add_kinds(v1::OPERATION_KIND_MMAP);
    batch.add_kinds(v1::OPERATION_KIND_TOUCH_RANGE_WRITE);
    batch.add_lengths(uint64_t{2} << 30);
    for (const uint64_t argument : {3, 0x22, 0, 0, 0}) batch.add_arguments(argument);
    batch.mutable_bases()->Add(0);
    batch.mutable_bases()->Add(1);
    const v1::OperationResults results = thread.Run(batch);
    EXPECT_EQ(results.outcomes_size(), 2);
    EXPECT_THAT(thread.End(), IsOk());
    AwaitMms(1);
    return results.values_size() == 2 ? results.values(1) : 0;
  }

  v1::ListMmsResponse List() {
    v1::ListMmsRequest list;
    list.set_parent("machines/default");
    v1::ListMmsResponse response;
    grpc::ClientContext context;
    EXPECT_THAT(stub_->ListMms(&context, list, &response), IsOk());
    return response;
  }
  /// Waits until there are no more than that many mms, and no thread.
  void AwaitMms(int count) {
    EXPECT_TRUE(Eventually([&] {
      const auto list = List();
      uint64_t threads = 0;
      for (const v1::Mm& mm : list.mms()) threads += mm.thread_count();
      return list.mms_size() <= count && threads == 0;
    }));
  }
  /// What a killed thread had mapped in an mm that others use stays there: it goes with the mm.
  void ExitSharedMm() {
    v1::ExitMmRequest request;
    request.set_name(mm_);
    v1::ExitMmResponse response;
    grpc::ClientContext context;
    EXPECT_THAT(stub_->ExitMm(&context, request, &response), IsOk());
  }
  /// mmap_lock is to be had for write.
  bool IsFree() {
    v1::BrkRequest brk;
    brk.set_mm(mm_);
    v1::BrkResponse response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    return stub_->Brk(&context, brk, &response).ok() && response.error() == 0;
  }

  const TemporaryDirectory directory_;
  const std::string target_ = "unix:" + directory_.path() + "/socket";
  ChildProcess server_{{FAULTLINED, "--listen=" + target_, "--metrics="},
                       ChildProcess::Output::kStderr};
  std::unique_ptr<MemoryStub> stub_;
  std::string mm_;
};

TEST_F(LifetimeTest, AfterManyStreamsAtOnceEverythingIsAsBefore) {
  const uint64_t streams = IsFull() ? 1000 : 100;
  const uint64_t seconds = IsFull() ? 60 : 1;
  const uint64_t pages = CountPages();
  const size_t threads = server_.CountThreads();
  const size_t descriptors = server_.CountDescriptors();
  std::string counts;
  size_t most_threads = 0;
  {
    const auto client = StartClient({"streams", absl::StrCat(streams), absl::StrCat(seconds), mm_});
    ASSERT_EQ(client->ReadLine(), "ready");
    most_threads = server_.CountThreads();
    counts = client->ReadLine();
    EXPECT_EQ(client->Wait(), 0);
  }
  const auto begin = Clock::now();
  AwaitMms(1);
  EXPECT_GE(most_threads, streams) << "each is a thread";
  EXPECT_TRUE(Eventually([&] { return server_.CountThreads() <= threads + kGrpcThreads; }))
      << server_.CountThreads() << ", before " << threads;
  EXPECT_TRUE(Eventually([&] { return server_.CountDescriptors() <= descriptors; }))
      << server_.CountDescriptors() << ", before " << descriptors;
  const std::chrono::duration<double> back = Clock::now() - begin;
  ExitSharedMm();
  EXPECT_NEAR(static_cast<double>(CountPages()), static_cast<double>(pages), kFramesOnLists);
  absl::PrintF(
      "%d streams for %d s: batches %s; threads %d, then %d, then %d; descriptors %d, then %d; "
      "frames %d, then as many; after %.1f s\n",
      streams, seconds, counts, threads, most_threads, server_.CountThreads(), descriptors,
      server_.CountDescriptors(), pages, back.count());
}

TEST_F(LifetimeTest, AKilledClientLeavesNoLockAndNoMemory) {
  const int kills = IsFull() ? 200 : 10;
  const uint64_t pages = CountPages();
  const size_t threads = server_.CountThreads();
  const size_t descriptors = server_.CountDescriptors();
  std::chrono::duration<double> longest{0};
  for (int i = 0; i < kills; ++i) {
    const auto client = StartClient({"batches", mm_});
    ASSERT_EQ(client->ReadLine(), "ready");
    client->Signal(SIGKILL);
    const auto begin = Clock::now();
    EXPECT_EQ(client->Wait(), 128 + SIGKILL);
    EXPECT_TRUE(IsFree());
    AwaitMms(1);
    longest = std::max<std::chrono::duration<double>>(longest, Clock::now() - begin);
  }
  EXPECT_TRUE(longest < kSoon || !IsFull()) << longest.count() << " s";
  ExitSharedMm();
  EXPECT_NEAR(static_cast<double>(CountPages()), static_cast<double>(pages), kFramesOnLists);
  EXPECT_TRUE(Eventually([&] { return server_.CountThreads() <= threads + kGrpcThreads; }))
      << server_.CountThreads() << ", before " << threads;
  EXPECT_TRUE(Eventually([&] { return server_.CountDescriptors() <= descriptors; }))
      << server_.CountDescriptors() << ", before " << descriptors;
  absl::PrintF(
      "%d clients killed in mid-batch: locks and mms free after %.3f s at most; frames %d, "
      "then as many\n",
      kills, longest.count(), pages);
}

TEST_F(LifetimeTest, ASigtermUnderLoadFailsNoCallThatHasBegun) {
  const auto client = StartClient({"unary", "8", mm_});
  ASSERT_EQ(client->ReadLine(), "ready");
  server_.Signal(SIGTERM);
  const auto begin = Clock::now();
  EXPECT_EQ(server_.Wait(), 0);
  const std::chrono::duration<double> drained = Clock::now() - begin;
  const std::string counts = client->ReadLine();
  EXPECT_EQ(client->Wait(), 0) << counts;
  absl::PrintF("SIGTERM under load: %s; exit 0 after %.3f s\n", counts, drained.count());
}

}  // namespace
}  // namespace faultline::server::testing
