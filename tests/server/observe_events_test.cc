// SPDX-License-Identifier: Apache-2.0
//
// WatchFaultEvents through a socket, beside attached threads that fault: what is said of whom, what
// is lost, how it ends, and bad input.
#include <cstdint>
#include <string>
#include <vector>

#include "tests/server/observe_fixture.h"

namespace faultline::server::testing {
namespace {

class FaultEventsTest : public ObserveTest {
 protected:
  using Watching = Stream<v1::WatchFaultEventsResponse>;

  [[nodiscard]] v1::AttachOpen Open(const std::string& id, uint32_t ring = 64) const {
    v1::AttachOpen open;
    open.set_mm(mm_);
    open.set_thread_id(id);
    open.set_event_ring(ring);
    return open;
  }
  [[nodiscard]] static v1::WatchFaultEventsRequest Request(const std::string& name,
                                                           uint64_t interval_ns = 1'000'000) {
    v1::WatchFaultEventsRequest request;
    request.set_name(name);
    request.set_interval_ns(interval_ns);
    return request;
  }
  /// Has the thread store to `pages` pages of new memory; where.
  uint64_t Fault(Attached& thread, uint64_t pages) {
    const uint64_t where = served_.MapPages(mm_, pages);
    v1::OperationBatch batch;
    batch.set_operations(static_cast<uint32_t>(pages));
    batch.add_kinds(v1::OPERATION_KIND_TOUCH_WRITE);
    for (uint64_t page = 0; page < pages; ++page) batch.add_addresses(where + page * kPageSize);
    EXPECT_EQ(thread.Run(batch).completed(), pages);
    return where;
  }
  [[nodiscard]] std::string ThreadName(const std::string& id) const {
    return mm_ + "/threads/" + id;
  }
};

TEST_F(FaultEventsTest, OfAThreadAreItsFaultsInOrderFromThenOn) {
  Attached thread(served_.memory(), Open("a"));
  Attached other(served_.memory(), Open("b"));
  ASSERT_TRUE(thread.opened().has_value() && other.opened().has_value());
  Fault(thread, 2);  // before anybody watches
  Watching stream(*stub_, &ObserveStub::WatchFaultEvents, Request(ThreadName("a")));
  stream.AwaitBegin();
  Fault(other, 1);
  const uint64_t where = Fault(thread, 3);
  std::vector<uint64_t> addresses;
  while (addresses.size() < 3) {
    const auto event = stream.Next();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->thread(), ThreadName("a"));
    EXPECT_EQ(event->task(), thread.opened()->task());
    EXPECT_EQ(event->lost(), 0u);
    const int count = event->addresses_size();
    for (const int size :
         {event->begin_ns_size(), event->durations_ns_size(), event->accesses_size(),
          event->outcomes_size(), event->rungs_size(), event->waited_ns_size(),
          event->waited_for_size(), event->holders_size(), event->holder_activities_size()}) {
      EXPECT_EQ(size, count);
    }
    EXPECT_EQ(event->accesses(0), v1::ACCESS_KIND_WRITE);
    EXPECT_EQ(event->outcomes(0), 0u);
    EXPECT_NE(event->rungs(0), 0u);
    addresses.insert(addresses.end(), event->addresses().begin(), event->addresses().end());
  }
  EXPECT_EQ(addresses, (std::vector<uint64_t>{where, where + kPageSize, where + 2 * kPageSize}));
}

TEST_F(FaultEventsTest, OfAnMmAreThoseOfThreadsThatComeLaterToo) {
  Watching stream(*stub_, &ObserveStub::WatchFaultEvents, Request(mm_));
  stream.AwaitBegin();
  Attached silent(served_.memory(), Open("silent", /*ring=*/0));
  Attached thread(served_.memory(), Open("late"));
  Fault(silent, 1);
  Fault(thread, 1);
  const auto event = stream.Next();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->thread(), ThreadName("late"));
  EXPECT_EQ(event->addresses_size(), 1);
}

TEST_F(FaultEventsTest, OverwrittenOnesAreCounted) {
  Attached thread(served_.memory(), Open("a", /*ring=*/4));
  // The server looks once at the beginning and then after a second.
  Watching stream(*stub_, &ObserveStub::WatchFaultEvents, Request(mm_, 1'000'000'000));
  stream.AwaitBegin();
  Fault(thread, 10);
  uint64_t seen = 0;
  uint64_t lost = 0;
  while (seen + lost < 10) {
    const auto event = stream.Next();
    ASSERT_TRUE(event.has_value());
    seen += static_cast<uint64_t>(event->addresses_size());
    lost += event->lost();
  }
  EXPECT_EQ(seen + lost, 10u);
  EXPECT_GE(seen, 4u);
}

TEST_F(FaultEventsTest, ShortOnesAreLeftOutIfAskedFor) {
  Attached thread(served_.memory(), Open("a"));
  auto request = Request(ThreadName("a"));
  request.set_min_duration_ns(UINT64_MAX);
  Watching stream(*stub_, &ObserveStub::WatchFaultEvents, request);
  stream.AwaitBegin();
  Fault(thread, 5);
  EXPECT_THAT(thread.End(), IsOk());
  EXPECT_FALSE(stream.Next().has_value());
}

TEST_F(FaultEventsTest, EndWithTheThread) {
  Attached thread(served_.memory(), Open("a"));
  Watching stream(*stub_, &ObserveStub::WatchFaultEvents, Request(ThreadName("a")));
  stream.AwaitBegin();
  Fault(thread, 1);
  EXPECT_THAT(thread.End(), IsOk());
  const auto event = stream.Next();
  ASSERT_TRUE(event.has_value()) << "its last faults are still said";
  EXPECT_EQ(event->addresses_size(), 1);
  EXPECT_THAT(stream.Finish(), IsOk());
}

TEST_F(FaultEventsTest, EndWithTheMm) {
  Watching stream(*stub_, &ObserveStub::WatchFaultEvents, Request(mm_));
  stream.AwaitBegin();
  ExitMm();
  EXPECT_THAT(stream.Finish(), IsOk());
}

TEST_F(FaultEventsTest, EndWithADrainAndACancel) {
  Watching drained(*stub_, &ObserveStub::WatchFaultEvents, Request(mm_));
  Watching cancelled(*stub_, &ObserveStub::WatchFaultEvents, Request(mm_));
  drained.AwaitBegin();
  cancelled.AwaitBegin();
  cancelled.Cancel();
  EXPECT_EQ(cancelled.Finish().error_code(), grpc::StatusCode::CANCELLED);
  served_.services().BeginDrain();
  EXPECT_THAT(drained.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
}

TEST_F(FaultEventsTest, BadRequestsAreRefused) {
  const auto status = [&](const v1::WatchFaultEventsRequest& request) {
    return Watching(*stub_, &ObserveStub::WatchFaultEvents, request).Finish();
  };
  for (const char* name : {"", "nonsense", "machines/default", "machines/default/mms/-"}) {
    EXPECT_THAT(status(Request(name)), IsRefusal(v1::ERROR_REASON_INVALID_NAME, "name")) << name;
  }
  EXPECT_THAT(status(Request(ThreadName("nobody"))),
              IsRefusal(v1::ERROR_REASON_NOT_FOUND, "name", ThreadName("nobody")));
  EXPECT_THAT(status(Request("machines/default/mms/1")),
              IsRefusal(v1::ERROR_REASON_OTHER_INSTANCE, "name"));
  for (const uint64_t interval :
       {uint64_t{1}, uint64_t{999'999}, uint64_t{60'000'000'001}, UINT64_MAX}) {
    EXPECT_THAT(status(Request(mm_, interval)),
                IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "interval_ns", std::to_string(interval)));
  }
}

}  // namespace
}  // namespace faultline::server::testing
