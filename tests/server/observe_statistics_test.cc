// SPDX-License-Identifier: Apache-2.0
//
// Statistics of ObserveService through a socket: what is counted where, resets, the stream, locks,
// and bad input.
#include <string>

#include "tests/server/observe_fixture.h"

namespace faultline::server::testing {
namespace {

class StatisticsTest : public ObserveTest {
 protected:
  [[nodiscard]] Reply<v1::GetStatisticsResponse> Get(const std::string& name) {
    v1::GetStatisticsRequest request;
    request.set_name(name);
    return Call(&ObserveStub::GetStatistics, request);
  }
  [[nodiscard]] Reply<v1::ResetStatisticsResponse> Reset(const std::string& name) {
    v1::ResetStatisticsRequest request;
    request.set_name(name);
    return Call(&ObserveStub::ResetStatistics, request);
  }
  [[nodiscard]] v1::MmStatistics OfMm() {
    const auto reply = Get(mm_);
    EXPECT_THAT(reply.status, IsOk());
    EXPECT_EQ(reply.response.statistics().mms_size(), 1);
    return reply.response.statistics().mms(0);
  }
  [[nodiscard]] v1::MachineStatistics OfMachine() {
    const auto reply = Get("machines/default");
    EXPECT_THAT(reply.status, IsOk());
    EXPECT_EQ(reply.response.statistics().mms_size(), 0);
    return reply.response.statistics().machine();
  }
};

TEST_F(StatisticsTest, OfAnMmSayWhatItHas) {
  const uint64_t where = served_.MapPages(mm_, 4);
  Fill(where, 3);
  const v1::MmStatistics mm = OfMm();
  EXPECT_EQ(mm.mm(), mm_);
  EXPECT_EQ(mm.anon_pages(), 3u);
  EXPECT_EQ(mm.file_pages(), 0u);
  EXPECT_EQ(mm.map_count(), 1u);
  EXPECT_EQ(mm.max_map_count(), 65530u);
  EXPECT_EQ(mm.total_pages(), 4u);
  EXPECT_EQ(mm.data_pages(), 4u);
  EXPECT_EQ(mm.tables(), 4u);
  EXPECT_EQ(mm.faults().ended(), 3u);
  ASSERT_EQ(mm.faults().rungs_size(), 1);
  EXPECT_EQ(mm.faults().rungs(0).rung(), v1::FAULT_RUNG_MMAP_LOCK);
  EXPECT_EQ(mm.faults().rungs(0).ended(), 3u);
  EXPECT_EQ(mm.faults().rungs(0).entered(), 3u);
}

TEST_F(StatisticsTest, OfAMachineHaveTheFaultsOfMmsThatAreGone) {
  Fill(served_.MapPages(mm_, 2), 2);
  EXPECT_EQ(OfMachine().faults().ended(), 2u);
  EXPECT_EQ(OfMachine().vmstat().at("pgfault"), 2u);
  EXPECT_EQ(OfMachine().vmstat().at("nr_page_table_pages"), 4u);
  ExitMm();
  EXPECT_EQ(OfMachine().faults().ended(), 2u);
  EXPECT_EQ(OfMachine().vmstat().at("pgfault"), 2u);
  EXPECT_EQ(OfMachine().vmstat().at("nr_page_table_pages"), 0u);
  EXPECT_GT(OfMachine().free_frames(), 0u);
  EXPECT_LE(OfMachine().free_frames(), OfMachine().total_frames());
}

TEST_F(StatisticsTest, OfAllMmsOfAMachine) {
  const std::string other = served_.MakeMm();
  const auto reply = Get("machines/default/mms/-");
  EXPECT_THAT(reply.status, IsOk());
  ASSERT_EQ(reply.response.statistics().mms_size(), 2);
  EXPECT_EQ(reply.response.statistics().mms(0).mm(), mm_);
  EXPECT_EQ(reply.response.statistics().mms(1).mm(), other);
  EXPECT_EQ(reply.response.statistics().machine().machine(), "machines/default");
}

TEST_F(StatisticsTest, AResetGoesBackToZeroAndSaysWhatThereWas) {
  Fill(served_.MapPages(mm_, 2), 2);
  const auto reply = Reset(mm_);
  EXPECT_THAT(reply.status, IsOk());
  EXPECT_EQ(reply.response.before().mms(0).faults().ended(), 2u);
  EXPECT_EQ(OfMm().faults().ended(), 0u);
  EXPECT_EQ(OfMm().anon_pages(), 2u) << "no count of faults";
  EXPECT_EQ(OfMachine().vmstat().at("pgfault"), 2u) << "of the machine's life";
  Fill(served_.MapPages(mm_, 1), 1);
  EXPECT_EQ(OfMm().faults().ended(), 1u);
}

TEST_F(StatisticsTest, AResetOfAMachineIsOneOfAllItsMmsGoneOrNot) {
  (void)served_.MakeMm();
  Fill(served_.MapPages(mm_, 2), 2);
  ExitMm();
  EXPECT_EQ(Reset("machines/default").response.before().machine().faults().ended(), 2u);
  EXPECT_EQ(OfMachine().faults().ended(), 0u);
  EXPECT_EQ(OfMachine().vmstat().at("pgfault"), 2u);
}

TEST_F(StatisticsTest, BadNamesAreRefused) {
  for (const std::string name : {"", "machines", "machines/", "machines/default/mms/x",
                                 "machines/default/mms/", "machines/default/mms/-/-"}) {
    EXPECT_THAT(Get(name).status, IsRefusal(v1::ERROR_REASON_INVALID_NAME, "name")) << name;
    EXPECT_THAT(Reset(name).status, IsRefusal(v1::ERROR_REASON_INVALID_NAME, "name")) << name;
  }
  EXPECT_THAT(Reset("machines/default/mms/-").status,
              IsRefusal(v1::ERROR_REASON_INVALID_NAME, "name"));
  for (const std::string name : {"machines/other", "machines/other/mms/-"}) {
    EXPECT_THAT(Get(name).status, IsRefusal(v1::ERROR_REASON_NOT_FOUND, "name")) << name;
  }
  EXPECT_THAT(Get("machines/default/mms/1").status,
              IsRefusal(v1::ERROR_REASON_OTHER_INSTANCE, "name"));
}

class PageOfMmsTest : public ObserveTest {
 protected:
  PageOfMmsTest()
      : ObserveTest([] {
          Limits limits;
          limits.max_page_size = 2;
          return limits;
        }()) {}
};

TEST_F(PageOfMmsTest, MoreMmsThanAPageHasAreRefused) {
  v1::GetStatisticsRequest request;
  request.set_name("machines/default/mms/-");
  EXPECT_THAT(Call(&ObserveStub::GetStatistics, request).status, IsOk());
  (void)served_.MakeMm();
  EXPECT_THAT(Call(&ObserveStub::GetStatistics, request).status, IsOk());
  (void)served_.MakeMm();
  EXPECT_THAT(Call(&ObserveStub::GetStatistics, request).status,
              IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "name"));
}

// -- The stream -----------------------------------------------------------------------------------

class WatchStatisticsTest : public StatisticsTest {
 protected:
  using Watching = Stream<v1::WatchStatisticsResponse>;
  [[nodiscard]] static v1::WatchStatisticsRequest Request(const std::string& name,
                                                          uint64_t interval_ns) {
    v1::WatchStatisticsRequest request;
    request.set_name(name);
    request.set_interval_ns(interval_ns);
    return request;
  }
  static constexpr uint64_t kShort = 10'000'000;
  static constexpr uint64_t kHour = 3'600'000'000'000;
};

TEST_F(WatchStatisticsTest, TheFirstComeAtOnce) {
  Watching stream(*stub_, &ObserveStub::WatchStatistics, Request(mm_, kHour));
  const auto first = stream.Next();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->statistics().mms(0).mm(), mm_);
  EXPECT_NE(first->instance_epoch(), 0u);
}

TEST_F(WatchStatisticsTest, OthersFollowAndCountOn) {
  const uint64_t where = served_.MapPages(mm_, 4);
  Watching stream(*stub_, &ObserveStub::WatchStatistics, Request(mm_, kShort));
  EXPECT_EQ(stream.Next()->statistics().mms(0).faults().ended(), 0u);
  Fill(where, 4);
  uint64_t ended = 0;
  uint64_t clock = 0;
  while (ended != 4) {
    const auto next = stream.Next();
    ASSERT_TRUE(next.has_value());
    EXPECT_GT(next->statistics().clock_ns(), clock);
    clock = next->statistics().clock_ns();
    ended = next->statistics().mms(0).faults().ended();
  }
}

TEST_F(WatchStatisticsTest, ACancelEndsIt) {
  Watching stream(*stub_, &ObserveStub::WatchStatistics, Request(mm_, kHour));
  ASSERT_TRUE(stream.Next().has_value());
  stream.Cancel();
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(WatchStatisticsTest, TheEndOfTheMmEndsIt) {
  Watching stream(*stub_, &ObserveStub::WatchStatistics, Request(mm_, kShort));
  ASSERT_TRUE(stream.Next().has_value());
  ExitMm();
  EXPECT_THAT(stream.Finish(), IsRefusal(v1::ERROR_REASON_NOT_FOUND, "name"));
}

TEST_F(WatchStatisticsTest, ADrainEndsIt) {
  Watching stream(*stub_, &ObserveStub::WatchStatistics, Request(mm_, kHour));
  ASSERT_TRUE(stream.Next().has_value());
  served_.services().BeginDrain();
  EXPECT_THAT(stream.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
}

TEST_F(WatchStatisticsTest, BadRequestsAreRefused) {
  for (const uint64_t interval : {uint64_t{1}, kShort - 1, kHour + 1, UINT64_MAX}) {
    Watching stream(*stub_, &ObserveStub::WatchStatistics, Request(mm_, interval));
    EXPECT_THAT(stream.Finish(),
                IsRefusal(v1::ERROR_REASON_OUT_OF_RANGE, "interval_ns", std::to_string(interval)));
  }
  Watching stream(*stub_, &ObserveStub::WatchStatistics, Request("nonsense", kShort));
  EXPECT_THAT(stream.Finish(), IsRefusal(v1::ERROR_REASON_INVALID_NAME, "name"));
}

// -- Locks ----------------------------------------------------------------------------------------

class LockStatisticsTest : public ObserveTest {
 protected:
  ~LockStatisticsTest() override { (void)Set(v1::LOCK_STATS_LEVEL_OFF, true); }
  [[nodiscard]] Reply<v1::SetLockStatisticsResponse> Set(v1::LockStatsLevel level, bool reset) {
    v1::SetLockStatisticsRequest request;
    request.set_level(level);
    request.set_reset(reset);
    return Call(&ObserveStub::SetLockStatistics, request);
  }
  [[nodiscard]] v1::GetLockStatisticsResponse Get(bool by_caller) {
    v1::GetLockStatisticsRequest request;
    request.set_by_caller(by_caller);
    const auto reply = Call(&ObserveStub::GetLockStatistics, request);
    EXPECT_THAT(reply.status, IsOk());
    return reply.response;
  }
  /// The line of mmap_lock taken to do that, in that mode.
  [[nodiscard]] static v1::LockStatistics MmapLock(const v1::GetLockStatisticsResponse& all,
                                                   v1::Activity caller, v1::LockMode mode) {
    for (const v1::LockStatistics& lock : all.locks()) {
      if (lock.rank() == v1::LOCK_RANK_MMAP_LOCK && lock.caller() == caller &&
          lock.mode() == mode) {
        return lock;
      }
    }
    return {};
  }
};

TEST_F(LockStatisticsTest, CountHoldsByClassAndCaller) {
  EXPECT_EQ(Get(false).level(), v1::LOCK_STATS_LEVEL_OFF);
  EXPECT_EQ(Set(v1::LOCK_STATS_LEVEL_HOLDS, true).response.previous_level(),
            v1::LOCK_STATS_LEVEL_OFF);
  (void)served_.MapPages(mm_, 1);
  const v1::GetLockStatisticsResponse all = Get(true);
  EXPECT_EQ(all.level(), v1::LOCK_STATS_LEVEL_HOLDS);
  EXPECT_GE(MmapLock(all, v1::ACTIVITY_UNSPECIFIED, v1::LOCK_MODE_UNSPECIFIED).exclusive(), 1u);
  const auto mmap = MmapLock(all, v1::ACTIVITY_MMAP, v1::LOCK_MODE_EXCLUSIVE);
  EXPECT_EQ(mmap.exclusive(), 1u);
  EXPECT_EQ(mmap.hold().count(), 1u);
  EXPECT_GT(mmap.hold().total_ns(), 0u);
  EXPECT_EQ(MmapLock(Get(false), v1::ACTIVITY_MMAP, v1::LOCK_MODE_EXCLUSIVE).exclusive(), 0u)
      << "not asked for";
}

TEST_F(LockStatisticsTest, AResetKeepsTheLevel) {
  ASSERT_THAT(Set(v1::LOCK_STATS_LEVEL_HOLDS, false).status, IsOk());
  (void)served_.MapPages(mm_, 1);
  const auto reset = Set(v1::LOCK_STATS_LEVEL_UNSPECIFIED, true);
  EXPECT_EQ(reset.response.previous_level(), v1::LOCK_STATS_LEVEL_HOLDS);
  const auto after = Get(true);
  EXPECT_EQ(after.level(), v1::LOCK_STATS_LEVEL_HOLDS);
  EXPECT_EQ(MmapLock(after, v1::ACTIVITY_MMAP, v1::LOCK_MODE_EXCLUSIVE).exclusive(), 0u);
}

TEST_F(LockStatisticsTest, UnknownLevelsAreRefused) {
  for (const int level : {4, 100, -1}) {
    EXPECT_THAT(Set(static_cast<v1::LockStatsLevel>(level), true).status,
                IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "level", std::to_string(level)));
  }
}

}  // namespace
}  // namespace faultline::server::testing
