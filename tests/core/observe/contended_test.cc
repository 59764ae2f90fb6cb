// SPDX-License-Identifier: Apache-2.0
//
// Tests of what waiting leaves behind, native: waits are counted under the activity of the waiter,
// and a recorded fault says for what and for whom it waited, also while statistics are off.

#include <cstdint>

#include <gtest/gtest.h>

#include "core/observe/activity.h"
#include "core/observe/fault_events.h"
#include "core/sync/lock_callers.h"
#include "core/sync/lock_stats.h"
#include "core/sync/sync.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using MmapLock = RwSem<LockRank::kMmapLock>;
using VmaLock = RwSem<LockRank::kVmaLock>;

class ContendedTest : public ::testing::Test {
 protected:
  ContendedTest() { ResetLockStats(); }
  ~ContendedTest() override {
    SetLockStatsLevel(LockStatsLevel::kOff);
    ResetLockStats();
  }

  /// One task holds `lock` for write while another, doing `activity`, waits for it to read.
  /// `around` gets the waiting as a callable. Returns the holder's id.
  template <class Lock, class Around>
  uint32_t ReadBehindWriter(Lock& lock, Activity activity, const Around& around) {
    WriteHolder<Lock> holder(lock);
    holder.task().SetActivity(static_cast<uint16_t>(Activity::kMprotect));
    TestThread waiter([&] {
      const ActivityScope scope(activity);
      around([&] { const ReadGuard guard(lock); });
    });
    waiter.AwaitParked();
    const uint32_t id = holder.id();
    holder.LetGo();
    waiter.Join();
    return id;
  }
  template <class Lock>
  uint32_t ReadBehindWriter(Lock& lock, Activity activity) {
    return ReadBehindWriter(lock, activity, [](const auto& wait) { wait(); });
  }

  static LockCallerStats Of(LockRank rank, Activity activity, LockMode mode) {
    return SnapshotLockStatsByCaller().Of(rank, static_cast<uint16_t>(activity), mode);
  }

  MmapLock mmap_lock_;
  VmaLock vma_lock_;
  FaultEventRing ring_{4};
};

TEST_F(ContendedTest, WaitsAreCountedUnderTheActivityOfTheWaiter) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  ReadBehindWriter(mmap_lock_, Activity::kFault);
  const uint32_t last = ReadBehindWriter(mmap_lock_, Activity::kReadMaps);
  ReadBehindWriter(vma_lock_, Activity::kFault);

  const LockCallerStats fault = Of(LockRank::kMmapLock, Activity::kFault, LockMode::kShared);
  EXPECT_EQ(fault.contended, 1u);
  EXPECT_GT(fault.wait.total_ns, 0u);
  EXPECT_EQ(fault.acquired, 0u);  // counted with kHolds only
  const LockCallerStats maps = Of(LockRank::kMmapLock, Activity::kReadMaps, LockMode::kShared);
  EXPECT_EQ(maps.contended, 1u);
  EXPECT_EQ(maps.longest_wait_holder, last);
  EXPECT_EQ(Of(LockRank::kVmaLock, Activity::kFault, LockMode::kShared).contended, 1u);
  EXPECT_TRUE(Of(LockRank::kMmapLock, Activity::kMprotect, LockMode::kExclusive).empty());
}

TEST_F(ContendedTest, SumOverCallersIsThatOfTheLockClass) {
  SetLockStatsLevel(LockStatsLevel::kHolds);
  for (const Activity activity : {Activity::kFault, Activity::kReadMaps, Activity::kFault}) {
    ReadBehindWriter(mmap_lock_, activity);
  }
  const LockClassStats whole = SnapshotLockStats()[static_cast<size_t>(LockRank::kMmapLock)];
  const LockStatsByCaller callers = SnapshotLockStatsByCaller();
  uint64_t contended = 0;
  uint64_t waited_ns = 0;
  uint64_t held_ns = 0;
  uint64_t acquired = 0;
  for (uint16_t tag = 0; tag < kCallerTags; ++tag) {
    for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
      const LockCallerStats& stats = callers.Of(LockRank::kMmapLock, tag, mode);
      contended += stats.contended;
      waited_ns += stats.wait.total_ns;
      held_ns += stats.hold.total_ns;
      acquired += stats.acquired;
    }
  }
  EXPECT_EQ(contended, 3u);
  EXPECT_EQ(contended, whole.contended);
  EXPECT_EQ(waited_ns, whole.wait.total_ns);
  EXPECT_EQ(held_ns, whole.hold.total_ns);
  EXPECT_EQ(acquired, whole.shared + whole.exclusive);
}

TEST_F(ContendedTest, RecordedFaultSaysForWhatAndForWhomItWaited) {
  const uint32_t holder = ReadBehindWriter(mmap_lock_, Activity::kFault, [this](const auto& wait) {
    const FaultRecording recording(&ring_);
    FaultEventScope scope(VirtAddr(0x5000), 0);
    wait();
    scope.Entered(FaultRung::kMmapLock);
  });
  const auto snapshot = ring_.Take();
  ASSERT_EQ(snapshot.records.size(), 1u);
  const FaultEvent& event = snapshot.records[0];
  EXPECT_EQ(event.waited_for, LockRank::kMmapLock);
  EXPECT_EQ(event.holder, holder);
  EXPECT_EQ(ActivityOf(event.holder_activity), Activity::kMprotect);
  EXPECT_GT(event.waited_ns, 0u);
  EXPECT_GE(event.duration, event.waited_ns);
  // Statistics were off all the time.
  EXPECT_TRUE(Of(LockRank::kMmapLock, Activity::kFault, LockMode::kShared).empty());
}

TEST_F(ContendedTest, FaultThatDidNotWaitSaysSo) {
  SetLockStatsLevel(LockStatsLevel::kWaits);
  ReadBehindWriter(mmap_lock_, Activity::kFault, [this](const auto& wait) {
    wait();  // before the fault
    const FaultRecording recording(&ring_);
    const FaultEventScope scope(VirtAddr(0), 0);
  });
  ASSERT_EQ(ring_.written(), 1u);
  EXPECT_FALSE(ring_.Take().records[0].waited());
}

TEST_F(ContendedTest, RingOfAnEndedTaskIsNotItsSuccessors) {
  TestThread first([this] { CurrentTask().fault_events = &ring_; });
  first.Join();
  TestThread second([] { EXPECT_EQ(CurrentTask().fault_events, nullptr); });
  second.Join();
}

}  // namespace
}  // namespace faultline
