// SPDX-License-Identifier: Apache-2.0
//
// The primitives in the hands of one task, in both builds (the modelled ones work outside of an
// execution, too): sizes, what a try says in each state, who is named as holder, counts.

#include <cstdint>

#include <gtest/gtest.h>

#include "core/sync/sync.h"

namespace faultline {
namespace {

static_assert(sizeof(SpinLock<LockRank::kPageTable>) == 4);  // one per page table

// The tests below ask for locks that they hold, in another mode or again: a try may do that.

TEST(SpinLockTest, WordNamesTheHolder) {
  SpinLock<LockRank::kTestInner> lock;
  EXPECT_EQ(lock.holder(), 0u);
  {
    const LockGuard guard(lock);
    EXPECT_EQ(lock.holder(), CurrentTask().id());
    EXPECT_NE(lock.holder(), 0u);
    lock.AssertHeld();
  }
  EXPECT_EQ(lock.holder(), 0u);
}

TEST(SpinLockTest, TryTakesItOnlyWhenFree) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  SpinLock<LockRank::kTestInner> lock;
  ASSERT_TRUE(lock.TryLock());
  EXPECT_FALSE(lock.TryLock());
  lock.Unlock();
  ASSERT_TRUE(lock.TryLock());
  lock.Unlock();
}

TEST(MutexTest, WordNamesTheOwner) {
  Mutex<LockRank::kTestMiddle> mutex;
  EXPECT_EQ(mutex.owner(), 0u);
  {
    const LockGuard guard(mutex);
    EXPECT_EQ(mutex.owner(), CurrentTask().id());
    mutex.AssertHeld();
  }
  EXPECT_EQ(mutex.owner(), 0u);
}

TEST(MutexTest, TryTakesItOnlyWhenFree) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Mutex<LockRank::kTestMiddle> mutex;
  ASSERT_TRUE(mutex.TryLock());
  EXPECT_FALSE(mutex.TryLock());
  mutex.Unlock();
  ASSERT_TRUE(mutex.LockKillable());
  EXPECT_FALSE(mutex.TryLock());
  mutex.Unlock();
  EXPECT_EQ(mutex.owner(), 0u);
}

TEST(MutexTest, KilledTaskStillTakesAFreeMutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Mutex<LockRank::kTestMiddle> mutex;
  CurrentTask().Kill();
  EXPECT_TRUE(mutex.LockKillable());  // only waiting is cut short
  mutex.Unlock();
  CurrentTask().ClearKill();
}

using Sem = RwSem<LockRank::kTestOuter>;

TEST(RwSemTest, WriterExcludesEveryTry) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Sem sem;
  ASSERT_TRUE(sem.TryLock());
  EXPECT_TRUE(sem.IsHeld());
  EXPECT_TRUE(sem.IsWriteHeld());
  EXPECT_EQ(sem.owner(), CurrentTask().id());
  sem.AssertHeld();
  EXPECT_FALSE(sem.TryLock());
  EXPECT_FALSE(sem.TryLockShared());
  sem.Unlock();
  EXPECT_FALSE(sem.IsHeld());
  EXPECT_EQ(sem.owner(), 0u);
}

TEST(RwSemTest, ReadersShareAndExcludeWriters) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Sem sem;
  ASSERT_TRUE(sem.TryLockShared());
  ASSERT_TRUE(sem.TryLockShared());
  EXPECT_TRUE(sem.IsHeld());
  EXPECT_FALSE(sem.IsWriteHeld());
  EXPECT_FALSE(sem.TryLock());
  sem.UnlockShared();
  EXPECT_FALSE(sem.TryLock());
  sem.UnlockShared();
  ASSERT_TRUE(sem.TryLock());
  sem.Unlock();
}

TEST(RwSemTest, DowngradeTurnsTheWriteHoldIntoAReadHold) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Sem sem;
  sem.Lock();
  sem.Downgrade();
  EXPECT_TRUE(sem.IsHeld());
  EXPECT_FALSE(sem.IsWriteHeld());
  EXPECT_EQ(sem.owner(), 0u);
  EXPECT_FALSE(sem.TryLock());
  ASSERT_TRUE(sem.TryLockShared());
  sem.UnlockShared();
  sem.UnlockShared();
  EXPECT_FALSE(sem.IsHeld());
}

TEST(RwSemTest, KillableFormsTakeAFreeSemaphore) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Sem sem;
  ASSERT_TRUE(sem.LockSharedKillable());
  sem.UnlockShared();
  ASSERT_TRUE(sem.LockKillable());
  EXPECT_EQ(sem.owner(), CurrentTask().id());
  sem.Unlock();
}

TEST(RwSemTest, PolicyCanBeChangedWhileNobodyHolds) {
  Sem sem;
  EXPECT_TRUE(sem.policy().fair);
  EXPECT_TRUE(sem.policy().handoff);
  sem.SetPolicy({.fair = false, .handoff = false, .spin = {0}});
  EXPECT_FALSE(sem.policy().fair);
  EXPECT_FALSE(sem.policy().handoff);
  EXPECT_EQ(sem.policy().spin.iterations, 0u);
  const WriteGuard guard(sem);
  EXPECT_TRUE(sem.IsWriteHeld());
}

TEST(CompletionTest, EachCompleteLetsOneWaitThrough) {
  Completion completion;
  completion.Complete();
  completion.Complete();
  completion.Wait();
  EXPECT_TRUE(completion.WaitKillable().ok());
  CurrentTask().Kill();
  EXPECT_EQ(completion.WaitKillable().error(), Errno::kEintr);  // both are used up
  CurrentTask().ClearKill();
}

TEST(CompletionTest, CompleteAllLetsEveryWaitThrough) {
  Completion completion;
  completion.CompleteAll();
  for (int i = 0; i < 3; ++i) completion.Wait();
  completion.Complete();  // adds nothing and takes nothing away
  for (int i = 0; i < 3; ++i) completion.Wait();
}

TEST(WaitQueueTest, ConditionThatHoldsNeedsNoWaker) {
  WaitQueue queue;
  queue.Wait([] { return true; });
  CurrentTask().Kill();
  EXPECT_TRUE(queue.WaitKillable([] { return true; }).ok());
  EXPECT_EQ(queue.WaitKillable([] { return false; }).error(), Errno::kEintr);
  CurrentTask().ClearKill();
  queue.WakeOne();  // nobody there: nothing happens
  queue.WakeAll();
}

TEST(SeqCountTest, ReaderSeesWhetherAWriteCameBetween) {
  SeqCount count;
  const uint64_t before = count.ReadBegin();
  EXPECT_FALSE(count.ReadRetry(before));
  {
    const SeqWriteGuard guard(count);
  }
  EXPECT_TRUE(count.ReadRetry(before));
  EXPECT_FALSE(count.ReadRetry(count.ReadBegin()));
}

TEST(SeqCountTest, IsOddWhileAWriterIsAtWork) {
  SeqCount count(6);
  const uint64_t before = count.ReadBegin();
  uint64_t note = 0;
  {
    const SeqWriteGuard guard(count);
    EXPECT_EQ(count.value(), 7u);
    EXPECT_FALSE(count.TryReadBegin(note));
    EXPECT_TRUE(count.ReadRetry(before));
  }
  EXPECT_EQ(count.value(), 8u);
  EXPECT_TRUE(count.TryReadBegin(note));
  EXPECT_EQ(note, 8u);
}

TEST(RcuTest, PointerReadsWhatWasPublished) {
  int value = 7;
  RcuPtr<int> pointer;
  const RcuGuard guard;
  EXPECT_FALSE(pointer.Read());
  pointer.Publish(&value);
  EXPECT_EQ(*pointer.Read(), 7);
  EXPECT_EQ(pointer.LoadLocked(), &value);
}

TEST(PreemptOffTest, GivesTheTaskACpuAndTakesItBack) {
  CpuSet cpus(3);
  PerCpu<int> data(cpus);
  EXPECT_EQ(data.size(), 3u);
  uint32_t cpu = 0;
  {
    const PreemptOff preempt_off(cpus);
    EXPECT_EQ(CurrentTask().preempt_off, 1u);
    cpu = preempt_off.cpu();
    ASSERT_LT(cpu, 3u);
    data.Local(preempt_off) = 5;
  }
  EXPECT_EQ(CurrentTask().preempt_off, 0u);
  EXPECT_EQ(data.Of(cpu), 5);
  const PreemptOff again(cpus);
  EXPECT_EQ(again.cpu(), cpu);  // free, so the task's own
}

TEST(PreemptOffTest, ScopesOverDifferentMachinesNest) {
  CpuSet first(1);
  CpuSet second(1);
  const PreemptOff outer(first);
  const PreemptOff inner(second);
  EXPECT_EQ(CurrentTask().preempt_off, 2u);
}

TEST(PerTaskTest, LocalIsTheSameObjectEveryTime) {
  PerTask<int> data;
  data.Local() = 3;
  EXPECT_EQ(data.Local(), 3);
  int sum = 0;
  data.ForEach([&](int value) { sum += value; });
  EXPECT_EQ(sum, 3);
}

TEST(SpinTest, UntilReturnsWhetherTheConditionCameTrueInTime) {
  int looks = 0;
  EXPECT_FALSE(SpinUntil([&] { return ++looks > 1000; }, SpinBudget{10}));
  EXPECT_TRUE(SpinUntil([] { return true; }, SpinBudget{10}));
}

}  // namespace
}  // namespace faultline
