// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/observe/fault_events.h and core/sync/event_ring.h by one task, in both builds: what
// the ring keeps and says it lost, and what a scope records of a fault. Waits for real locks are in
// contended_test.cc.

#include "core/observe/fault_events.h"

#include <vector>

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(EventRingTest, KeepsAllUntilItIsFull) {
  EventRing<int> ring(4);
  EXPECT_EQ(ring.capacity(), 4u);
  EXPECT_TRUE(ring.Take().records.empty());
  for (int i = 0; i < 4; ++i) ring.Write(i);
  const auto snapshot = ring.Take();
  EXPECT_EQ(snapshot.records, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(snapshot.lost, 0u);
}

TEST(EventRingTest, WrapsAndSaysHowManyWereLost) {
  EventRing<int> ring(4);
  for (int i = 0; i < 11; ++i) ring.Write(i);
  const auto snapshot = ring.Take();
  EXPECT_EQ(snapshot.records, (std::vector<int>{7, 8, 9, 10}));
  EXPECT_EQ(snapshot.lost, 7u);
  EXPECT_EQ(ring.written(), 11u);
}

TEST(EventRingTest, RingOfOneKeepsTheLast) {
  EventRing<int> ring(1);
  for (int i = 0; i < 3; ++i) ring.Write(i);
  EXPECT_EQ(ring.Take().records, std::vector<int>{2});
  EXPECT_EQ(ring.Take().lost, 2u);
}

TEST(EventRingTest, RecordNeedNotBeWholeWords) {
  struct Odd {
    char text[11];
    bool operator==(const Odd&) const = default;
  };
  EventRing<Odd> ring(2);
  ring.Write({"0123456789"});
  ASSERT_EQ(ring.Take().records.size(), 1u);
  EXPECT_EQ(ring.Take().records[0], Odd{"0123456789"});
}

TEST(FaultRungSetTest, HoldsWhatWasAdded) {
  FaultRungSet set;
  EXPECT_TRUE(set.empty());
  set.Add(FaultRung::kVmaLock);
  EXPECT_TRUE(set.Has(FaultRung::kVmaLock));
  EXPECT_FALSE(set.Has(FaultRung::kValidated));
  EXPECT_FALSE(set.Has(FaultRung::kMmapLock));
}

class FaultEventScopeTest : public ::testing::Test {
 protected:
  FaultEventRing ring_{8};
};

TEST_F(FaultEventScopeTest, SaysNothingWithoutARing) {
  FaultEventScope scope(VirtAddr(0x1000), 0);
  scope.Entered(FaultRung::kMmapLock);
  scope.SetOutcome(1);
  EXPECT_EQ(ring_.written(), 0u);
}

TEST_F(FaultEventScopeTest, RecordsTheClimb) {
  const FaultRecording recording(&ring_);
  {
    FaultEventScope scope(VirtAddr(0x7000), /*access=*/1);
    scope.Left(FaultRung::kValidated, LeaveReason::kNoAnonVma);
    scope.Entered(FaultRung::kVmaLock);
    scope.Left(FaultRung::kVmaLock, LeaveReason::kDetached);
    scope.Entered(FaultRung::kMmapLock);
    scope.SetOutcome(2);
    EXPECT_EQ(ring_.written(), 0u);  // not before its end
  }
  const auto snapshot = ring_.Take();
  ASSERT_EQ(snapshot.records.size(), 1u);
  const FaultEvent& event = snapshot.records[0];
  EXPECT_GT(event.begin, 0u);
  EXPECT_EQ(event.address, VirtAddr(0x7000));
  EXPECT_EQ(event.access, 1);
  EXPECT_EQ(event.outcome, 2u);
  EXPECT_FALSE(event.rungs.Has(FaultRung::kValidated));
  EXPECT_TRUE(event.rungs.Has(FaultRung::kVmaLock));
  EXPECT_TRUE(event.rungs.Has(FaultRung::kMmapLock));
  EXPECT_EQ(event.reason(FaultRung::kValidated), LeaveReason::kNoAnonVma);
  EXPECT_EQ(event.reason(FaultRung::kVmaLock), LeaveReason::kDetached);
  EXPECT_EQ(event.reason(FaultRung::kMmapLock), LeaveReason::kNone);
  EXPECT_FALSE(event.waited());
  EXPECT_EQ(event.waited_ns, 0u);
}

TEST_F(FaultEventScopeTest, RungEnteredAgainIsWhereItEnded) {
  const FaultRecording recording(&ring_);
  {
    FaultEventScope scope(VirtAddr(0), 0);
    scope.Entered(FaultRung::kMmapLock);
    scope.Left(FaultRung::kMmapLock, LeaveReason::kNoPage);
    scope.Entered(FaultRung::kMmapLock);
  }
  EXPECT_EQ(ring_.Take().records[0].reason(FaultRung::kMmapLock), LeaveReason::kNone);
}

TEST_F(FaultEventScopeTest, KeepsTheLongestWaitSinceItsBegin) {
  const FaultRecording recording(&ring_);
  Task& self = CurrentTask();
  self.NoteWait({LockRank::kPageTable, 0, /*holder=*/3, /*ns=*/9'000});  // before: not its own
  {
    const FaultEventScope scope(VirtAddr(0), 0);
    self.NoteWait({LockRank::kMmapLock, 5, /*holder=*/7, /*ns=*/500});
    self.NoteWait({LockRank::kAnonVma, 0, /*holder=*/8, /*ns=*/40});
  }
  const FaultEvent event = ring_.Take().records[0];
  EXPECT_TRUE(event.waited());
  EXPECT_EQ(event.waited_for, LockRank::kMmapLock);
  EXPECT_EQ(event.waited_ns, 500u);
  EXPECT_EQ(event.holder, 7u);
  EXPECT_EQ(event.holder_activity, 5);
  EXPECT_EQ(self.longest_wait.ns, 9'000u);
  self.longest_wait = {};
}

TEST_F(FaultEventScopeTest, WaitOfAnInnerFaultIsAlsoTheOuterOnes) {
  const FaultRecording recording(&ring_);
  Task& self = CurrentTask();
  {
    const FaultEventScope outer(VirtAddr(1), 0);
    self.NoteWait({LockRank::kAnonVma, 0, /*holder=*/8, /*ns=*/40});
    {
      const FaultEventScope inner(VirtAddr(2), 0);
      self.NoteWait({LockRank::kMmapLock, 0, /*holder=*/7, /*ns=*/30});
    }
    self.NoteWait({LockRank::kVmaLock, 0, /*holder=*/9, /*ns=*/20});
  }
  const auto snapshot = ring_.Take();
  ASSERT_EQ(snapshot.records.size(), 2u);
  EXPECT_EQ(snapshot.records[0].address, VirtAddr(2));
  EXPECT_EQ(snapshot.records[0].waited_ns, 30u);
  EXPECT_EQ(snapshot.records[1].address, VirtAddr(1));
  EXPECT_EQ(snapshot.records[1].waited_ns, 40u);
  self.longest_wait = {};
}

TEST_F(FaultEventScopeTest, RecordingRestoresTheFormerRing) {
  FaultEventRing other(2);
  const FaultRecording recording(&ring_);
  {
    const FaultRecording inner(&other);
    const FaultEventScope scope(VirtAddr(0), 0);
  }
  {
    const FaultRecording pause(nullptr);
    const FaultEventScope scope(VirtAddr(0), 0);
  }
  EXPECT_EQ(CurrentTask().fault_events, &ring_);
  EXPECT_EQ(other.written(), 1u);
  EXPECT_EQ(ring_.written(), 0u);
}

}  // namespace
}  // namespace faultline
