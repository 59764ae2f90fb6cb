// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/mutex.h with waiters, native: who is woken, who may give up, and that a waiter
// who lost to a newcomer once is handed the mutex.

#include "core/sync/mutex.h"

#include <atomic>
#include <cstdio>

#include <gtest/gtest.h>

#include "core/sync/guards.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using TestMutex = Mutex<LockRank::kTestMiddle>;

/// Whether LockKillable got the mutex, which is free again afterwards.
bool TakeKillably(TestMutex& mutex) {
  if (!mutex.LockKillable()) return false;
  mutex.Unlock();
  return true;
}
bool TryTake(TestMutex& mutex) {
  if (!mutex.TryLock()) return false;
  mutex.Unlock();
  return true;
}

TEST(MutexWaitTest, TryFailsWhileAnotherTaskOwnsIt) {
  TestMutex mutex;
  LockHolder<TestMutex> holder(mutex);
  EXPECT_EQ(mutex.owner(), holder.id());
  EXPECT_FALSE(TryTake(mutex));
  EXPECT_EQ(mutex.owner(), holder.id());
  holder.LetGo();
  EXPECT_TRUE(TryTake(mutex));
}

TEST(MutexWaitTest, WaiterSleepsAndGetsItFromTheRelease) {
  TestMutex mutex;
  LockHolder<TestMutex> holder(mutex);
  bool got = false;
  TestThread waiter([&] {
    const LockGuard guard(mutex);
    got = true;
  });
  waiter.AwaitParked();
  holder.LetGo();
  waiter.Join();
  EXPECT_TRUE(got);
  EXPECT_EQ(mutex.owner(), 0u);
}

TEST(MutexWaitTest, KilledWaiterGivesUp) {
  TestMutex mutex;
  LockHolder<TestMutex> holder(mutex);
  bool got = true;
  TestThread waiter([&] { got = TakeKillably(mutex); });
  waiter.AwaitParked();
  waiter.task().Kill();
  waiter.Join();
  EXPECT_FALSE(got);
  EXPECT_EQ(mutex.owner(), holder.id());
  holder.LetGo();
  EXPECT_TRUE(TakeKillably(mutex));
}

TEST(MutexWaitTest, TaskKilledBeforeDoesNotWait) {
  TestMutex mutex;
  LockHolder<TestMutex> holder(mutex);
  CurrentTask().Kill();
  EXPECT_FALSE(TakeKillably(mutex));
  CurrentTask().ClearKill();
}

TEST(MutexWaitTest, KillDoesNotEndAnUnkillableWait) {
  TestMutex mutex;
  LockHolder<TestMutex> holder(mutex);
  bool got = false;
  TestThread waiter([&] {
    const LockGuard guard(mutex);
    got = CurrentTask().killed();
  });
  waiter.AwaitParked();
  waiter.task().Kill();
  waiter.AwaitParked();
  EXPECT_EQ(mutex.owner(), holder.id());
  holder.LetGo();
  waiter.Join();
  EXPECT_TRUE(got);
}

// The owner releases and takes again as fast as it can. It may pass a waiter once, since the waiter
// must first wake up; the release after that one hands the mutex over.
TEST(MutexWaitTest, WaiterThatLostOnceIsHandedTheMutex) {
  constexpr int kRounds = 200;
  int passed_once = 0;
  for (int round = 0; round < kRounds; ++round) {
    TestMutex mutex;
    std::atomic<bool> got{false};
    int passed = 0;
    [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {  // holds it over the start of a thread
      mutex.Lock();
      TestThread waiter([&] {
        const LockGuard guard(mutex);
        got = true;
      });
      waiter.AwaitParked();
      while (true) {
        mutex.Unlock();
        mutex.Lock();
        if (got) break;
        ++passed;
      }
      mutex.Unlock();
    }();
    ASSERT_LE(passed, 1) << "in round " << round;
    passed_once += passed;
  }
  std::printf("the owner came first in %d of %d rounds\n", passed_once, kRounds);
}

TEST(MutexWaitTest, WaiterBehindAKilledOneIsWoken) {
  TestMutex mutex;
  LockHolder<TestMutex> holder(mutex);
  TestThread first([&] { EXPECT_FALSE(TakeKillably(mutex)); });
  first.AwaitParked();
  TestThread second([&] { const LockGuard guard(mutex); });
  second.AwaitParked();
  first.task().Kill();
  first.Join();
  holder.LetGo();
  second.Join();
  EXPECT_EQ(mutex.owner(), 0u);
}

// The release wakes the first waiter while it is being killed. Whichever comes first, the second
// waiter gets in; a lost wake-up would hang the test.
TEST(MutexWaitTest, WakeUpOfAKilledWaiterIsPassedOn) {
  for (int round = 0; round < 200; ++round) {
    TestMutex mutex;
    LockHolder<TestMutex> holder(mutex);
    TestThread first([&] { (void)TakeKillably(mutex); });
    first.AwaitParked();
    TestThread second([&] { const LockGuard guard(mutex); });
    second.AwaitParked();
    TestThread killer([&] { first.task().Kill(); });
    holder.LetGo();
    second.Join();
    first.Join();
    EXPECT_EQ(mutex.owner(), 0u);
  }
}

}  // namespace
}  // namespace faultline
