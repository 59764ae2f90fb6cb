// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/lock_stats.h, native: what each level records, what a wait record says, and
// how the tasks' shares add up.

#include "core/sync/lock_stats.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "core/sync/sync.h"
#include "core/sync/sync_clock.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

class RecordingSink : public WaitSink {
 public:
  void OnWait(const WaitRecord& record) noexcept override {
    const std::lock_guard guard(mutex_);
    records_.push_back(record);
  }
  std::vector<WaitRecord> records() {
    const std::lock_guard guard(mutex_);
    return records_;
  }

 private:
  std::mutex mutex_;
  std::vector<WaitRecord> records_;
};

class LockStatsTest : public ::testing::Test {
 protected:
  LockStatsTest() {
    ResetLockStats();
    SetWaitSink(&sink_);
  }
  ~LockStatsTest() override {
    SetLockStatsLevel(LockStatsLevel::kOff);
    SetWaitSink(nullptr);
    ResetLockStats();
  }

  static LockClassStats StatsOf(LockRank rank) {
    return SnapshotLockStats()[static_cast<size_t>(rank)];
  }
  static uint64_t InBuckets(const DurationHistogram& histogram) {
    return std::accumulate(histogram.buckets.begin(), histogram.buckets.end(), uint64_t{0});
  }

  /// One task waits for the mutex while another holds it; returns the holder's id.
  uint32_t ContendOnce() {
    LockHolder<Mutex<LockRank::kTestMiddle>> holder(mutex_);
    const uint32_t id = holder.id();
    TestThread waiter([&] { const LockGuard guard(mutex_); });
    waiter.AwaitParked();
    holder.LetGo();
    waiter.Join();
    return id;
  }

  RecordingSink sink_;
  Mutex<LockRank::kTestMiddle> mutex_;
  RwSem<LockRank::kTestOuter> sem_;
  SpinLock<LockRank::kTestInner> spin_;
};

TEST_F(LockStatsTest, NothingIsRecordedWhileOff) {
  SetLockStatsLevel(LockStatsLevel::kOff);
  ContendOnce();
  for (const LockClassStats& stats : SnapshotLockStats()) {
    EXPECT_EQ(stats.shared + stats.exclusive + stats.contended + stats.killed, 0u);
    EXPECT_EQ(stats.wait.count + stats.hold.count, 0u);
  }
  EXPECT_TRUE(sink_.records().empty());
}

TEST_F(LockStatsTest, WaitsLevelCountsOnlyContendedAcquisitions) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  for (int i = 0; i < 10; ++i) const LockGuard uncontended(mutex_);
  const uint32_t holder = ContendOnce();
  const LockClassStats stats = StatsOf(LockRank::kTestMiddle);
  EXPECT_EQ(stats.contended, 1u);
  EXPECT_EQ(stats.wait.count, 1u);
  EXPECT_GT(stats.wait.total_ns, 0u);
  EXPECT_EQ(stats.wait.max_ns, stats.wait.total_ns);
  EXPECT_EQ(stats.longest_wait_holder, holder);
  EXPECT_EQ(stats.exclusive, 0u);
  EXPECT_EQ(stats.hold.count, 0u);
  EXPECT_EQ(StatsOf(LockRank::kTestOuter).contended, 0u);
}

TEST_F(LockStatsTest, WaitRecordSaysWhoWaitedForWhatAndWhom) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  WriteHolder<RwSem<LockRank::kTestOuter>> holder(sem_);
  holder.task().SetActivity(11);
  TestThread waiter([&] {
    CurrentTask().SetActivity(22);
    const ReadGuard guard(sem_);
  });
  waiter.AwaitParked();
  const uint32_t waiter_id = waiter.id();
  holder.LetGo();
  waiter.Join();
  const std::vector<WaitRecord> records = sink_.records();
  ASSERT_EQ(records.size(), 1u);
  const WaitRecord& record = records[0];
  EXPECT_EQ(record.kind, WaitKind::kLock);
  EXPECT_EQ(record.mode, WaitMode::kShared);
  EXPECT_EQ(record.rank, static_cast<uint8_t>(LockRank::kTestOuter));
  EXPECT_FALSE(record.killed);
  EXPECT_EQ(record.waiter, TaskId(waiter_id));
  EXPECT_EQ(record.holder, TaskId(holder.id()));
  EXPECT_EQ(record.waiter_activity, 22);
  EXPECT_EQ(record.holder_activity, 11);
  EXPECT_GT(record.waited, Ticks(0));
  EXPECT_EQ(StatsOf(LockRank::kTestOuter).wait.total_ns, record.waited.value());
}

TEST_F(LockStatsTest, KilledWaitIsCountedAndRecordedAsKilled) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  WriteHolder<RwSem<LockRank::kTestOuter>> holder(sem_);
  TestThread waiter([&] {
    if (sem_.LockKillable()) sem_.Unlock();
  });
  waiter.AwaitParked();
  waiter.task().Kill();
  waiter.Join();
  const LockClassStats stats = StatsOf(LockRank::kTestOuter);
  EXPECT_EQ(stats.contended, 1u);
  EXPECT_EQ(stats.killed, 1u);
  ASSERT_EQ(sink_.records().size(), 1u);
  EXPECT_TRUE(sink_.records()[0].killed);
  EXPECT_EQ(sink_.records()[0].mode, WaitMode::kExclusive);
}

TEST_F(LockStatsTest, ContendedSpinlockIsAWaitAndNamesItsHolder) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  std::atomic<bool> stop{false};
  TestThread other([&] {
    while (!stop) const LockGuard guard(spin_);
  });
  // The two meet sooner or later, in one task or the other.
  SpinUntil([&] {
    for (int i = 0; i < 100; ++i) const LockGuard guard(spin_);
    return StatsOf(LockRank::kTestInner).contended != 0;
  });
  stop = true;
  other.Join();
  ASSERT_FALSE(sink_.records().empty());
  for (const WaitRecord& record : sink_.records()) {
    EXPECT_EQ(record.rank, static_cast<uint8_t>(LockRank::kTestInner));
    EXPECT_NE(record.holder, record.waiter);
  }
  EXPECT_EQ(StatsOf(LockRank::kTestInner).contended, sink_.records().size());
}

TEST_F(LockStatsTest, HoldsLevelCountsEveryAcquisitionByMode) {
  SetLockStatsLevel(LockStatsLevel::kHolds);
  for (int i = 0; i < 3; ++i) const ReadGuard guard(sem_);
  for (int i = 0; i < 2; ++i) const WriteGuard guard(sem_);
  for (int i = 0; i < 5; ++i) const LockGuard guard(spin_);
  if (mutex_.TryLock()) mutex_.Unlock();
  const LockClassStats sem = StatsOf(LockRank::kTestOuter);
  EXPECT_EQ(sem.shared, 3u);
  EXPECT_EQ(sem.exclusive, 2u);
  EXPECT_EQ(sem.hold.count, 5u);
  EXPECT_EQ(InBuckets(sem.hold), 5u);
  EXPECT_EQ(sem.contended, 0u);
  EXPECT_EQ(StatsOf(LockRank::kTestInner).hold.count, 5u);
  EXPECT_EQ(StatsOf(LockRank::kTestMiddle).exclusive, 1u);
  EXPECT_TRUE(sink_.records().empty());
}

TEST_F(LockStatsTest, HoldTimeIsTheTimeBetweenLockAndUnlock) {
  SetLockStatsLevel(LockStatsLevel::kHolds);
  uint64_t inside = 0;
  {
    const LockGuard guard(mutex_);
    const uint64_t begin = SyncClockNs();
    SpinUntil([&] { return (inside = SyncClockNs() - begin) >= 100'000; });
  }
  const DurationHistogram hold = StatsOf(LockRank::kTestMiddle).hold;
  EXPECT_EQ(hold.count, 1u);
  EXPECT_GE(hold.total_ns, inside);
  EXPECT_EQ(hold.max_ns, hold.total_ns);
  EXPECT_EQ(hold.buckets[static_cast<size_t>(DurationHistogram::BucketOf(hold.max_ns))], 1u);
}

TEST_F(LockStatsTest, SnapshotAddsUpAllThreadsEvenThoseThatEnded) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 1000;
  SetLockStatsLevel(LockStatsLevel::kHolds);
  RunTogether(kThreads, [&](int) {
    for (uint64_t i = 0; i < kRounds; ++i) const LockGuard guard(mutex_);
  });
  const LockClassStats stats = StatsOf(LockRank::kTestMiddle);
  EXPECT_EQ(stats.exclusive, kThreads * kRounds);
  EXPECT_EQ(stats.hold.count, kThreads * kRounds);
  EXPECT_EQ(InBuckets(stats.hold), kThreads * kRounds);
  EXPECT_EQ(stats.contended, sink_.records().size());
  EXPECT_EQ(InBuckets(stats.wait), stats.contended);
}

TEST_F(LockStatsTest, ResetStartsAtZero) {
  SetLockStatsLevel(LockStatsLevel::kHolds);
  ContendOnce();
  ResetLockStats();
  const LockClassStats stats = StatsOf(LockRank::kTestMiddle);
  EXPECT_EQ(stats.exclusive + stats.contended, 0u);
  EXPECT_EQ(stats.wait.count + stats.wait.total_ns + stats.wait.max_ns, 0u);
  EXPECT_EQ(stats.hold.count + stats.hold.total_ns + stats.hold.max_ns, 0u);
  EXPECT_EQ(InBuckets(stats.hold) + InBuckets(stats.wait), 0u);
  EXPECT_EQ(stats.longest_wait_holder, 0u);
}

TEST_F(LockStatsTest, LevelMayChangeWhileLocksAreHeld) {
  SetLockStatsLevel(LockStatsLevel::kHolds);
  TestThread thread([&] {
    {
      const LockGuard taken_while_on(mutex_);
      SetLockStatsLevel(LockStatsLevel::kOff);
    }
    {
      const LockGuard taken_while_off(mutex_);
      SetLockStatsLevel(LockStatsLevel::kHolds);
    }
    {
      const LockGuard whole(mutex_);
    }
    EXPECT_EQ(CurrentTask().held.size(), 0u);
  });  // and the thread may end
  thread.Join();
  EXPECT_EQ(StatsOf(LockRank::kTestMiddle).hold.count, 1u);
}

TEST_F(LockStatsTest, TaskMayEndAfterAHoldThatWasSwitchedOff) {
  SetLockStatsLevel(LockStatsLevel::kHolds);
  TestThread thread([&] {
    const LockGuard guard(mutex_);
    SetLockStatsLevel(LockStatsLevel::kOff);
  });
  thread.Join();
}

TEST_F(LockStatsTest, LockdepStaysAsItIsWhenTheLevelChanges) {
  constexpr uint32_t kAll = kHookLockdep | kHookWaits | kHookHolds;
  SetLockdep(true);
  SetLockStatsLevel(LockStatsLevel::kHolds);
  EXPECT_EQ(CurrentTask().hooks() & kAll, kAll);
  SetLockStatsLevel(LockStatsLevel::kOff);
  EXPECT_EQ(CurrentTask().hooks() & kAll, uint32_t{kHookLockdep});
  SetLockdep(kDebugChecks);
}

TEST_F(LockStatsTest, LevelReachesThreadsThatComeLater) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  uint32_t hooks = 0;
  TestThread thread([&] { hooks = CurrentTask().hooks(); });
  thread.Join();
  EXPECT_NE(hooks & kHookWaits, 0u);
}

TEST(DurationHistogramTest, BucketsArePowersOfTwo) {
  EXPECT_EQ(DurationHistogram::BucketOf(0), 0);
  EXPECT_EQ(DurationHistogram::BucketOf(1), 0);
  EXPECT_EQ(DurationHistogram::BucketOf(2), 1);
  EXPECT_EQ(DurationHistogram::BucketOf(3), 1);
  EXPECT_EQ(DurationHistogram::BucketOf(1024), 10);
  EXPECT_EQ(DurationHistogram::BucketOf(2047), 10);
  EXPECT_EQ(DurationHistogram::BucketOf(uint64_t{1} << 35), 35);
  EXPECT_EQ(DurationHistogram::BucketOf(~uint64_t{0}), DurationHistogram::kBuckets - 1);
}

TEST(LockStatsShardTest, SumsCountersAndKeepsTheLongestWaitsHolder) {
  auto first = std::make_unique<LockStatsShard>();
  auto second = std::make_unique<LockStatsShard>();
  first->CountAcquired(LockRank::kSwap, LockMode::kShared);
  first->CountAcquired(LockRank::kSwap, LockMode::kExclusive);
  first->CountWait(LockRank::kSwap, /*ns=*/100, /*holder=*/5, /*killed=*/false);
  second->CountAcquired(LockRank::kSwap, LockMode::kExclusive);
  second->CountWait(LockRank::kSwap, /*ns=*/300, /*holder=*/6, /*killed=*/true);
  second->CountWait(LockRank::kSwap, /*ns=*/200, /*holder=*/7, /*killed=*/false);
  second->CountHold(LockRank::kSwap, /*ns=*/9);
  LockStatsSnapshot sum{};
  second->AddTo(sum);
  first->AddTo(sum);
  const LockClassStats& stats = sum[static_cast<size_t>(LockRank::kSwap)];
  EXPECT_EQ(stats.shared, 1u);
  EXPECT_EQ(stats.exclusive, 2u);
  EXPECT_EQ(stats.contended, 3u);
  EXPECT_EQ(stats.killed, 1u);
  EXPECT_EQ(stats.wait.total_ns, 600u);
  EXPECT_EQ(stats.wait.max_ns, 300u);
  EXPECT_EQ(stats.longest_wait_holder, 6u);
  EXPECT_EQ(stats.hold.count, 1u);
  EXPECT_EQ(stats.hold.buckets[3], 1u);
}

}  // namespace
}  // namespace faultline
