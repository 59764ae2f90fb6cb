// SPDX-License-Identifier: Apache-2.0
//
// How unary calls are carried out: a call that waits for a lock ends with its deadline or
// cancellation and leaves the lock free; what waits does not hold up the transport; too many that
// wait are refused with the time to wait; and the metadata that calls may carry.
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "core/mm/mm_lock.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using Stub = MemoryStub;

v1::MmapRequest MapOnePage(const std::string& mm) {
  v1::MmapRequest request;
  request.set_mm(mm);
  request.set_length(kPageSize);
  request.set_prot(abi::kProtRead);
  request.set_flags(abi::kMapPrivate | abi::kMapAnonymous);
  return request;
}

v1::FaultRequest FaultAt(const std::string& mm, uint64_t address) {
  v1::FaultRequest request;
  request.set_mm(mm);
  request.set_address(address);
  return request;
}

/// Faults that are begun and not waited for.
class Faults {
 public:
  Faults(Served& served, v1::FaultRequest request)
      : served_(served), request_(std::move(request)) {}
  void Begin(int count) {
    for (int i = 0; i < count; ++i) {
      Call& call = calls_.emplace_back();
      call.context.set_deadline(std::chrono::system_clock::now() + kPatience);
      served_.memory().async()->Fault(&call.context, &request_, &call.response,
                                      [&call](grpc::Status status) {
                                        call.status = std::move(status);
                                        call.ended.store(true, std::memory_order_release);
                                      });
    }
  }
  /// Waits until all have ended; how many were refused as overload.
  int Refused() {
    int refused = 0;
    for (Call& call : calls_) {
      EXPECT_TRUE(Eventually([&] { return call.ended.load(std::memory_order_acquire); }));
      if (!call.status.ok()) {
        ++refused;
        EXPECT_THAT(call.status, IsRefusal(v1::ERROR_REASON_OVERLOADED, ""));
        EXPECT_GT(DetailOf(call.status)->retry_after_ns(), 0U);
      }
    }
    return refused;
  }
  [[nodiscard]] int ended() const {
    int ended = 0;
    for (const Call& call : calls_) ended += call.ended.load(std::memory_order_acquire) ? 1 : 0;
    return ended;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::FaultResponse response;
    grpc::Status status;
    std::atomic<bool> ended{false};
  };
  Served& served_;
  const v1::FaultRequest request_;
  std::deque<Call> calls_;
};

/// Whether nobody holds or wants mmap_lock: a writer gets it at once, and the mm is valid.
void ExpectFreeAndValid(Mm& mm) {
  const MmWriter writer(mm);
  EXPECT_TRUE(writer.held());
  mm.Validate(Mm::Validation::kLocked);
}

TEST(UnaryCallTest, AWaitForALockEndsWithTheDeadline) {
  Served served;
  const std::string mm = served.MakeMm();
  const std::string before = served.State();
  {
    const MmUse use = served.Use(mm);
    const MmWriter writer(use.mm());
    const auto begin = std::chrono::steady_clock::now();
    const auto reply =
        served.Call(&Stub::Mmap, MapOnePage(mm), {.deadline = std::chrono::milliseconds(100)});
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience / 2);
    // The worker is free though the lock is not: its wait has ended, too.
    EXPECT_TRUE(Eventually([&] { return served.registry().pool().usage().busy == 0; }));
  }
  EXPECT_EQ(served.State(), before);
  ExpectFreeAndValid(served.Use(mm).mm());
  EXPECT_EQ(served.Call(&Stub::Mmap, MapOnePage(mm)).response.error(), 0) << "no kill stayed";
}

TEST(UnaryCallTest, AWaitForALockEndsWithCancellation) {
  Served served;
  const std::string mm = served.MakeMm();
  const uint64_t where = served.MapPages(mm, 1);
  {
    const MmUse use = served.Use(mm);
    const MmWriter writer(use.mm());
    grpc::ClientContext context;
    grpc::Status status;
    v1::FaultResponse response;
    std::thread client(
        [&] { status = served.memory().Fault(&context, FaultAt(mm, where), &response); });
    EXPECT_TRUE(Eventually([&] { return served.registry().pool().usage().busy == 1; }));
    context.TryCancel();
    client.join();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_TRUE(Eventually([&] { return served.registry().pool().usage().busy == 0; }));
  }
  ExpectFreeAndValid(served.Use(mm).mm());
  EXPECT_EQ(served.Call(&Stub::Fault, FaultAt(mm, where)).response.result().signal(), 0U);
}

TEST(UnaryCallTest, ACallCancelledInTheQueueDoesNotWaitWhenItsTurnComes) {
  Served served(Limits{.unary_workers = 1, .unary_queue = 4});
  const std::string mm = served.MakeMm();
  const MmUse use = served.Use(mm);
  auto writer = std::make_unique<MmWriter>(use.mm());
  const auto short_call = [&] {
    return served.Call(&Stub::Mmap, MapOnePage(mm), {.deadline = std::chrono::milliseconds(50)});
  };
  std::thread other([&] { (void)short_call(); });
  (void)short_call();
  other.join();
  EXPECT_TRUE(Eventually([&] { return served.registry().pool().usage().busy == 0; }));
  EXPECT_EQ(served.registry().pool().usage().queued, 0U);
  writer.reset();
  EXPECT_EQ(use.mm().map_count(), 0U);
}

TEST(UnaryCallTest, WhatWaitsDoesNotHoldUpTheTransport) {
  constexpr int kWaiting = 96;  // more than gRPC has threads
  Served served(Limits{.unary_workers = 2, .unary_queue = kWaiting});
  const std::string mm = served.MakeMm();
  const std::string other = served.MakeMm();
  const uint64_t there = served.MapPages(other, 1);
  Faults faults(served, FaultAt(mm, served.MapPages(mm, 1)));
  const MmUse use = served.Use(mm);
  auto writer = std::make_unique<MmWriter>(use.mm());
  faults.Begin(kWaiting);
  EXPECT_TRUE(Eventually([&] {
    const WorkerPool::Usage usage = served.registry().pool().usage();
    return usage.busy + usage.queued == kWaiting;
  }));
  // The same channel, and all workers wait: what need not wait goes on.
  v1::GetMmRequest get;
  get.set_name(mm);
  EXPECT_THAT(served.Call(&Stub::GetMm, get).status, IsOk());
  EXPECT_THAT(served.Call(&Stub::Fault, FaultAt(other, there)).status, IsOk());
  v1::AttachOpen open;
  open.set_mm(other);
  Attached thread(served.memory(), open);
  EXPECT_TRUE(thread.opened());
  EXPECT_THAT(thread.End(), IsOk());
  EXPECT_EQ(faults.ended(), 0);
  writer.reset();
  EXPECT_EQ(faults.Refused(), 0);
}

TEST(UnaryCallTest, WhatNeitherWorkersNorQueueHaveRoomForIsRefused) {
  Served served(Limits{.unary_workers = 2, .unary_queue = 3});
  const std::string mm = served.MakeMm();
  Faults faults(served, FaultAt(mm, served.MapPages(mm, 1)));
  const MmUse use = served.Use(mm);
  auto writer = std::make_unique<MmWriter>(use.mm());
  const auto waiting = [&] {
    const WorkerPool::Usage usage = served.registry().pool().usage();
    return usage.busy + usage.queued;
  };
  faults.Begin(2);
  EXPECT_TRUE(Eventually([&] {
    return served.registry().pool().usage().busy == 2 &&
           served.registry().pool().usage().queued == 0;
  }));
  faults.Begin(3);
  EXPECT_TRUE(Eventually([&] { return waiting() == 5; }));
  const auto refused = served.Call(&Stub::Mmap, MapOnePage(mm));
  EXPECT_THAT(refused.status, IsRefusal(v1::ERROR_REASON_OVERLOADED, ""));
  EXPECT_THAT(DetailOf(refused.status)->allowed(), ::testing::HasSubstr("unary_queue"));
  faults.Begin(4);
  EXPECT_TRUE(Eventually([&] { return faults.ended() == 4; }));
  writer.reset();
  EXPECT_EQ(faults.Refused(), 4);
  EXPECT_THAT(served.Call(&Stub::Mmap, MapOnePage(mm)).status, IsOk());
}

TEST(UnaryCallTest, ACallThatBeganBeforeADrainIsFinished) {
  Served served;
  const std::string mm = served.MakeMm();
  const uint64_t where = served.MapPages(mm, 1);
  const MmUse use = served.Use(mm);
  auto writer = std::make_unique<MmWriter>(use.mm());
  Faults faults(served, FaultAt(mm, where));
  faults.Begin(8);
  EXPECT_TRUE(Eventually([&] {
    const WorkerPool::Usage usage = served.registry().pool().usage();
    return usage.busy + usage.queued == 8;
  }));
  served.services().BeginDrain();
  EXPECT_THAT(served.Call(&Stub::Fault, FaultAt(mm, where)).status,
              IsRefusal(v1::ERROR_REASON_DRAINING, ""));
  writer.reset();
  EXPECT_EQ(faults.Refused(), 0);
}

TEST(UnaryCallTest, TheEpochInMetadataMustBeThisInstances) {
  constexpr const char* kHeader = "faultline-instance-epoch";
  Served served;
  v1::GetMmRequest get;
  get.set_name(served.MakeMm());
  const uint64_t epoch = served.registry().epoch().value();
  const auto call = [&](const std::string& value) {
    return served.Call(&Stub::GetMm, get, WithMetadata(kHeader, value)).status;
  };
  EXPECT_THAT(call(absl::StrCat(absl::Hex(epoch, absl::kZeroPad16))), IsOk());
  for (const std::string& value :
       {absl::StrCat(absl::Hex(epoch ^ 1, absl::kZeroPad16)), std::string("0"), std::string("x"),
        std::string("-1"), std::string(17, 'f'), absl::StrCat("0x", absl::Hex(epoch))}) {
    EXPECT_THAT(call(value), IsRefusal(v1::ERROR_REASON_OTHER_INSTANCE, kHeader)) << value;
  }
  Attached thread(served.memory(), WithMetadata(kHeader, "0000000000000001"));
  EXPECT_THAT(thread.End(), IsRefusal(v1::ERROR_REASON_OTHER_INSTANCE, kHeader));
}

TEST(UnaryCallTest, TheRoutingHeaderMustNameTheMachineIfTheServerInsists) {
  constexpr const char* kHeader = "faultline-machine";
  Config config;
  config.require_routing_header = true;
  Served served(config);
  v1::ListMmsRequest list;
  list.set_parent("machines/default");
  EXPECT_THAT(served.Call(&Stub::ListMms, list).status,
              IsRefusal(v1::ERROR_REASON_ROUTING_HEADER, kHeader));
  EXPECT_THAT(served.Call(&Stub::ListMms, list, WithMetadata(kHeader, "other")).status,
              IsRefusal(v1::ERROR_REASON_ROUTING_HEADER, kHeader));
  EXPECT_THAT(served.Call(&Stub::ListMms, list, WithMetadata(kHeader, "machines/default")).status,
              IsRefusal(v1::ERROR_REASON_ROUTING_HEADER, kHeader));
  EXPECT_THAT(served.Call(&Stub::ListMms, list, WithMetadata(kHeader, "default")).status, IsOk());

  v1::AttachOpen open;
  open.set_machine("machines/default");
  Attached without(served.memory(), open);
  EXPECT_THAT(without.End(), IsRefusal(v1::ERROR_REASON_ROUTING_HEADER, kHeader));
  Attached with(served.memory(), open, WithMetadata(kHeader, "default"));
  EXPECT_TRUE(with.opened());
  EXPECT_THAT(with.End(), IsOk());
}

TEST(UnaryCallTest, ANameThatIsNoneIsNoQuestionOfRouting) {
  Config config;
  config.require_routing_header = true;
  Served served(config);
  for (const char* name : {"", "nonsense", "machines/", "machines/default/files/1"}) {
    v1::GetMmRequest get;
    get.set_name(name);
    const auto reply = served.Call(&Stub::GetMm, get, WithMetadata("faultline-machine", "default"));
    EXPECT_THAT(reply.status, IsRefusal(v1::ERROR_REASON_INVALID_NAME, "name")) << name;
  }
}

}  // namespace
}  // namespace faultline::server::testing
