// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/lock_callers.h without contention, in both builds: one task's counters, how
// they add up, and that holds are counted under the activity that began them. In the modelled build
// locks report to an execution only, hence the scenario.

#include "core/sync/lock_callers.h"

#include <gtest/gtest.h>

#include "core/observe/activity.h"
#include "core/sync/lock_stats.h"
#include "core/sync/sync.h"
#ifdef FAULTLINE_MODELLED
#include "tests/core/sync/modelled_runs.h"
#endif

namespace faultline {
namespace {

constexpr uint16_t Tag(Activity activity) { return static_cast<uint16_t>(activity); }

const LockCallerStats& Of(const LockStatsByCaller& stats, LockRank rank, Activity activity,
                          LockMode mode) {
  return stats.Of(rank, Tag(activity), mode);
}

TEST(LockCallersShardTest, CountsEachCombinationForItself) {
  LockCallersShard shard;
  shard.CountAcquired({LockRank::kMmapLock, 1, LockMode::kShared});
  shard.CountAcquired({LockRank::kMmapLock, 1, LockMode::kExclusive});
  shard.CountAcquired({LockRank::kMmapLock, 2, LockMode::kShared});
  shard.CountHold({LockRank::kMmapLock, 1, LockMode::kShared}, /*ns=*/9);
  shard.CountWait({LockRank::kVmaLock, 1, LockMode::kShared}, /*ns=*/100, /*holder=*/5, true);
  LockStatsByCaller sum;
  shard.AddTo(sum);
  EXPECT_EQ(sum.Of(LockRank::kMmapLock, 1, LockMode::kShared).acquired, 1u);
  EXPECT_EQ(sum.Of(LockRank::kMmapLock, 1, LockMode::kShared).hold.count, 1u);
  EXPECT_EQ(sum.Of(LockRank::kMmapLock, 1, LockMode::kShared).hold.buckets[3], 1u);
  EXPECT_EQ(sum.Of(LockRank::kMmapLock, 1, LockMode::kExclusive).acquired, 1u);
  EXPECT_EQ(sum.Of(LockRank::kMmapLock, 2, LockMode::kShared).acquired, 1u);
  EXPECT_TRUE(sum.Of(LockRank::kMmapLock, 2, LockMode::kExclusive).empty());
  EXPECT_TRUE(sum.Of(LockRank::kVmaLock, 2, LockMode::kShared).empty());
  const LockCallerStats& waited = sum.Of(LockRank::kVmaLock, 1, LockMode::kShared);
  EXPECT_EQ(waited.contended, 1u);
  EXPECT_EQ(waited.killed, 1u);
  EXPECT_EQ(waited.wait.total_ns, 100u);
  EXPECT_EQ(waited.longest_wait_holder, 5u);
}

TEST(LockCallersShardTest, OtherRanksAreNotCounted) {
  LockCallersShard shard;
  shard.CountAcquired({LockRank::kPageTable, 1, LockMode::kExclusive});
  shard.CountWait({LockRank::kPageTable, 1, LockMode::kExclusive}, 1, 1, false);
  shard.CountHold({LockRank::kPageTable, 1, LockMode::kExclusive}, 1);
  LockStatsByCaller sum;
  shard.AddTo(sum);
  for (const LockRank rank : kRanksByCaller) {
    for (uint16_t tag = 0; tag < kCallerTags; ++tag) {
      EXPECT_TRUE(sum.Of(rank, tag, LockMode::kExclusive).empty());
    }
  }
}

TEST(LockCallersShardTest, TagsBeyondTheLastAreOne) {
  LockCallersShard shard;
  shard.CountAcquired({LockRank::kVmaLock, kCallerTags, LockMode::kShared});
  shard.CountAcquired({LockRank::kVmaLock, UINT16_MAX, LockMode::kShared});
  LockStatsByCaller sum;
  shard.AddTo(sum);
  EXPECT_EQ(sum.Of(LockRank::kVmaLock, kCallerTags - 1, LockMode::kShared).acquired, 2u);
  EXPECT_EQ(sum.Of(LockRank::kVmaLock, 4711, LockMode::kShared).acquired, 2u);
}

TEST(LockCallersShardTest, SumKeepsTheLongestWaitsHolderAndResetClears) {
  LockCallersShard first;
  LockCallersShard second;
  const LockCallersShard::Caller caller{LockRank::kMmapLock, 1, LockMode::kShared};
  first.CountWait(caller, /*ns=*/100, /*holder=*/5, false);
  second.CountWait(caller, /*ns=*/300, /*holder=*/6, false);
  second.CountWait(caller, /*ns=*/200, /*holder=*/7, false);
  LockStatsByCaller sum;
  second.AddTo(sum);
  first.AddTo(sum);
  const LockCallerStats& stats = sum.Of(caller.rank, caller.tag, caller.mode);
  EXPECT_EQ(stats.contended, 3u);
  EXPECT_EQ(stats.wait.max_ns, 300u);
  EXPECT_EQ(stats.longest_wait_holder, 6u);
  second.Reset();
  LockStatsByCaller after;
  second.AddTo(after);
  EXPECT_TRUE(after.Of(caller.rank, caller.tag, caller.mode).empty());
  EXPECT_EQ(after.Of(caller.rank, caller.tag, caller.mode).longest_wait_holder, 0u);
}

using MmapLock = RwSem<LockRank::kMmapLock>;

/// Runs `body` with a task that locks report to, and switches statistics off again.
template <class Body>
void WithHolds(const Body& body) {
  bool ran = false;
  const auto run = [&] {
    ResetLockStats();
    SetLockStatsLevel(LockStatsLevel::kHolds);
    body();
    SetLockStatsLevel(LockStatsLevel::kOff);
    ResetLockStats();
    ran = true;
  };
#ifdef FAULTLINE_MODELLED
  const ReplayResult result =
      RunStraight([&run](Execution& execution) { execution.Spawn("task", run); });
  EXPECT_FALSE(result.violation.has_value()) << result.table;
#else
  run();
#endif
  EXPECT_TRUE(ran);
}

TEST(LockCallersTest, HoldIsCountedUnderTheActivityThatMadeIt) {
  WithHolds([] {
    MmapLock lock;
    {
      const ActivityScope activity(Activity::kFault);
      for (int i = 0; i < 3; ++i) const ReadGuard guard(lock);
    }
    {
      const ActivityScope activity(Activity::kMunmap);
      const WriteGuard guard(lock);
      const ActivityScope later(Activity::kPopulate);  // the hold is munmap's all the same
    }
    const LockStatsByCaller stats = SnapshotLockStatsByCaller();
    const auto& fault = Of(stats, LockRank::kMmapLock, Activity::kFault, LockMode::kShared);
    EXPECT_EQ(fault.acquired, 3u);
    EXPECT_EQ(fault.hold.count, 3u);
    const auto& munmap = Of(stats, LockRank::kMmapLock, Activity::kMunmap, LockMode::kExclusive);
    EXPECT_EQ(munmap.acquired, 1u);
    EXPECT_EQ(munmap.hold.count, 1u);
    for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
      EXPECT_TRUE(Of(stats, LockRank::kMmapLock, Activity::kPopulate, mode).empty());
      EXPECT_TRUE(Of(stats, LockRank::kVmaLock, Activity::kFault, mode).empty());
    }
  });
}

TEST(LockCallersTest, DowngradedHoldIsOneOfEachMode) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  WithHolds([]() ABSL_NO_THREAD_SAFETY_ANALYSIS {  // a hold that changes its mode
    MmapLock lock;
    const ActivityScope activity(Activity::kMunmap);
    lock.Lock();
    lock.Downgrade();
    lock.UnlockShared();
    const LockStatsByCaller stats = SnapshotLockStatsByCaller();
    const auto& before = Of(stats, LockRank::kMmapLock, Activity::kMunmap, LockMode::kExclusive);
    EXPECT_EQ(before.acquired, 1u);
    EXPECT_EQ(before.hold.count, 1u);
    const auto& after = Of(stats, LockRank::kMmapLock, Activity::kMunmap, LockMode::kShared);
    EXPECT_EQ(after.acquired, 0u);
    EXPECT_EQ(after.hold.count, 1u);
    const LockStatsSnapshot classes = SnapshotLockStats();
    const auto& whole = classes[static_cast<size_t>(LockRank::kMmapLock)].hold;
    EXPECT_EQ(whole.count, 1u);
    EXPECT_GE(whole.total_ns, before.hold.total_ns + after.hold.total_ns);
  });
}

TEST(LockCallersTest, ResetStartsAtZero) {
  WithHolds([] {
    MmapLock lock;
    const ActivityScope activity(Activity::kBrk);
    {
      const WriteGuard guard(lock);
    }
    ResetLockStats();
    const LockStatsByCaller stats = SnapshotLockStatsByCaller();
    EXPECT_TRUE(Of(stats, LockRank::kMmapLock, Activity::kBrk, LockMode::kExclusive).empty());
  });
}

TEST(LockCallersTest, NothingIsCountedWhileOff) {
  WithHolds([] {
    SetLockStatsLevel(LockStatsLevel::kOff);
    MmapLock lock;
    const ActivityScope activity(Activity::kBrk);
    {
      const WriteGuard guard(lock);
    }
    const LockStatsByCaller stats = SnapshotLockStatsByCaller();
    EXPECT_TRUE(Of(stats, LockRank::kMmapLock, Activity::kBrk, LockMode::kExclusive).empty());
  });
}

}  // namespace
}  // namespace faultline
