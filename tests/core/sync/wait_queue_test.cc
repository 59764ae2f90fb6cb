// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/wait_queue.h and completion.h with waiters, native: order of wake-ups, kills,
// no wake-up lost, and that a completion may live on its waiter's stack.

#include "core/sync/wait_queue.h"

#include <atomic>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "core/sync/completion.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

/// Things that waiters take one of each: a semaphore made of a wait queue.
class Tokens {
 public:
  void PutOne() {
    count_.FetchAdd(1, kRelease);
    queue_.WakeOne();
  }
  void PutForAll(int waiters) {
    count_.FetchAdd(waiters, kRelease);
    queue_.WakeAll();
  }
  void Take() {
    queue_.Wait([this] { return TryTake(); });
  }
  Result<void> TakeKillably() {
    return queue_.WaitKillable([this] { return TryTake(); });
  }
  void WakeForNothing() { queue_.WakeAll(); }

 private:
  bool TryTake() {
    int count = count_.Load(kAcquire);
    while (count > 0) {
      if (count_.CompareExchange(count, count - 1, kAcquire, kAcquire)) return true;
    }
    return false;
  }

  Atomic<int> count_{0};
  WaitQueue queue_;
};

TEST(WaitQueueWaitTest, WakeOneWakesInOrderOfArrival) {
  Tokens tokens;
  std::atomic<int> last_out{-1};
  std::vector<std::unique_ptr<TestThread>> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(std::make_unique<TestThread>([&tokens, &last_out, i] {
      tokens.Take();
      last_out = i;
    }));
    waiters.back()->AwaitParked();
  }
  for (int i = 0; i < 4; ++i) {
    tokens.PutOne();
    waiters[static_cast<size_t>(i)]->Join();
    EXPECT_EQ(last_out, i);
  }
}

TEST(WaitQueueWaitTest, WakeAllWakesEveryWaiter) {
  Tokens tokens;
  std::vector<std::unique_ptr<TestThread>> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(std::make_unique<TestThread>([&tokens] { tokens.Take(); }));
    waiters.back()->AwaitParked();
  }
  tokens.PutForAll(4);
  for (auto& waiter : waiters) waiter->Join();
}

TEST(WaitQueueWaitTest, WokenTaskTestsAgainAndWaitsOn) {
  Tokens tokens;
  std::atomic<bool> done{false};
  TestThread waiter([&] {
    tokens.Take();
    done = true;
  });
  for (int i = 0; i < 20; ++i) {
    waiter.AwaitParked();
    tokens.WakeForNothing();
    EXPECT_FALSE(done);
  }
  waiter.AwaitParked();
  tokens.PutOne();
  waiter.Join();
  EXPECT_TRUE(done);
}

TEST(WaitQueueWaitTest, KilledWaiterGivesUpWithEintr) {
  Tokens tokens;
  Result<void> result;
  TestThread waiter([&] { result = tokens.TakeKillably(); });
  waiter.AwaitParked();
  waiter.task().Kill();
  waiter.Join();
  EXPECT_EQ(result.error(), Errno::kEintr);
  tokens.PutOne();
  tokens.Take();  // the killed one took nothing
}

TEST(WaitQueueWaitTest, ATaskThatMayNotWaitGivesUpWithEagain) {
  Tokens tokens;
  ++CurrentTask().no_wait;
  const Result<void> without = tokens.TakeKillably();
  tokens.PutOne();
  const Result<void> with = tokens.TakeKillably();
  --CurrentTask().no_wait;
  EXPECT_EQ(without.error(), Errno::kEagain);
  EXPECT_TRUE(with.ok());
}

TEST(WaitQueueWaitTest, KillDoesNotEndAnUnkillableWait) {
  Tokens tokens;
  TestThread waiter([&] { tokens.Take(); });
  waiter.AwaitParked();
  waiter.task().Kill();
  waiter.AwaitParked();
  tokens.PutOne();
}

// One token, two waiters, and the first of them is being killed: a wake-up that it got and has no
// use for has to reach the second, or the second would sleep for ever beside a free token.
TEST(WaitQueueWaitTest, WakeUpOfAKilledWaiterIsPassedOn) {
  for (int round = 0; round < 200; ++round) {
    Tokens tokens;
    bool first_took = false;
    bool second_took = false;
    TestThread first([&] { first_took = tokens.TakeKillably().ok(); });
    first.AwaitParked();
    TestThread second([&] { second_took = tokens.TakeKillably().ok(); });
    second.AwaitParked();
    TestThread killer([&] { first.task().Kill(); });
    tokens.PutOne();
    first.Join();
    if (first_took) tokens.PutOne();  // it came before its kill
    second.Join();
    ASSERT_TRUE(second_took);
  }
}

TEST(CompletionWaitTest, EachCompleteLetsOneWaiterThroughInOrder) {
  Completion completion;
  std::atomic<int> through{0};
  const auto wait = [&] {
    completion.Wait();
    ++through;
  };
  TestThread first(wait);
  first.AwaitParked();
  TestThread second(wait);
  second.AwaitParked();
  completion.Complete();
  first.Join();
  EXPECT_EQ(through, 1);
  EXPECT_TRUE(second.IsParked());
  completion.Complete();
}

TEST(CompletionWaitTest, CompleteAllLetsEveryWaiterThrough) {
  Completion completion;
  TestThread first([&] { completion.Wait(); });
  TestThread second([&] { completion.Wait(); });
  first.AwaitParked();
  second.AwaitParked();
  completion.CompleteAll();
}

TEST(CompletionWaitTest, KilledWaiterGivesUpWithEintrAndTakesNothing) {
  Completion completion;
  Result<void> result;
  TestThread waiter([&] { result = completion.WaitKillable(); });
  waiter.AwaitParked();
  waiter.task().Kill();
  waiter.Join();
  EXPECT_EQ(result.error(), Errno::kEintr);
  completion.Complete();
  completion.Wait();
}

TEST(CompletionWaitTest, WhatWasDoneBeforeIsVisibleAfter) {
  for (int round = 0; round < 500; ++round) {
    Completion completion;
    int value = 0;  // plain: ThreadSanitizer checks the order
    TestThread worker([&] {
      value = round;
      completion.Complete();
    });
    completion.Wait();
    ASSERT_EQ(value, round);
    worker.Join();
  }
}

// The usual life of a completion is its waiter's frame: once it was let through, the memory is
// somebody else's, though the completing task may not have returned yet.
TEST(CompletionWaitTest, MayEndAsSoonAsItsWaiterWasLetThrough) {
  constexpr int kRounds = 20'000;
  std::atomic<Completion*> next{nullptr};
  TestThread completer([&] {
    for (int round = 0; round < kRounds; ++round) {
      Completion* completion = nullptr;
      SpinUntil([&] { return (completion = next.exchange(nullptr)) != nullptr; });
      completion->Complete();
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    auto completion = std::make_unique<Completion>();
    next = completion.get();
    completion->Wait();
  }
}

}  // namespace
}  // namespace faultline
