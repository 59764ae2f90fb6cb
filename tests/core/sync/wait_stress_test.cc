// SPDX-License-Identifier: Apache-2.0
//
// Stress of waiting: wait queues, completions and parking under many hand-offs. Everything that is
// handed over is plain data, which ThreadSanitizer watches; a lost wake-up hangs the test.

#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

TEST(WaitQueueStressTest, TwoTasksPassABallBackAndForth) {
  const int rounds = StressRounds(20'000);
  WaitQueue queue;
  Atomic<int> turn{0};
  int64_t ball = 0;  // plain: whose turn it is owns it
  RunTogether(2, [&](int self) {
    for (int i = 0; i < rounds; ++i) {
      queue.Wait([&] { return turn.Load(kAcquire) == self; });
      ++ball;
      turn.Store(1 - self, kRelease);
      queue.WakeOne();
    }
  });
  EXPECT_EQ(ball, 2 * int64_t{rounds});
}

/// A bounded queue of plain items: two wait queues under one mutex-free count each.
class Pipe {
 public:
  void Put(int64_t item) {
    not_full_.Wait([this] { return TryPut(); });
    {
      const LockGuard guard(lock_);
      items_[head_++ % kItems] = item;
    }
    filled_.FetchAdd(1, kRelease);
    not_empty_.WakeOne();
  }
  Result<int64_t> TakeKillably() {
    const Result<void> got = not_empty_.WaitKillable([this] { return TryTake(); });
    if (!got.ok()) return got.error();
    int64_t item = 0;
    {
      const LockGuard guard(lock_);
      item = items_[tail_++ % kItems];
    }
    free_.FetchAdd(1, kRelease);
    not_full_.WakeOne();
    return item;
  }

 private:
  static constexpr uint32_t kItems = 4;

  static bool TryDecrease(Atomic<int>& count) {
    int seen = count.Load(kRelaxed);
    while (seen > 0) {
      if (count.CompareExchange(seen, seen - 1, kAcquire, kRelaxed)) return true;
    }
    return false;
  }
  bool TryPut() { return TryDecrease(free_); }
  bool TryTake() { return TryDecrease(filled_); }

  WaitQueue not_full_;
  WaitQueue not_empty_;
  Atomic<int> free_{kItems};
  Atomic<int> filled_{0};
  SpinLock<LockRank::kTestInner> lock_;
  std::array<int64_t, kItems> items_ ABSL_GUARDED_BY(lock_){};
  uint32_t head_ ABSL_GUARDED_BY(lock_) = 0;
  uint32_t tail_ ABSL_GUARDED_BY(lock_) = 0;
};

/// Tasks that take items until none is left, and one that keeps killing them.
class KilledTakers {
 public:
  static constexpr int kTakers = 3;

  KilledTakers(Pipe& pipe, int64_t items) : pipe_(pipe), left_(items) {}

  void Take(int taker) {
    std::atomic<Task*>& self = tasks_[static_cast<size_t>(taker)];
    self = &CurrentTask();
    while (left_ > 0) {
      const Result<int64_t> item = pipe_.TakeKillably();
      if (item.ok()) {
        sum_ += *item;
        --left_;
      } else {
        CurrentTask().ClearKill();
      }
    }
    self = nullptr;
  }
  /// Goes on until every taker has ended: killing is also what ends those that find nothing more.
  void Kill() {
    while (KillOnce() > 0 || left_ > 0) std::this_thread::yield();
  }
  [[nodiscard]] int64_t sum() const { return sum_; }

 private:
  /// Returns how many takers there were to kill.
  int KillOnce() {
    int killed = 0;
    for (const std::atomic<Task*>& taker : tasks_) {
      Task* task = taker.load();
      if (task == nullptr) continue;
      task->Kill();
      ++killed;
    }
    return killed;
  }

  Pipe& pipe_;
  std::atomic<int64_t> sum_{0};
  std::atomic<int64_t> left_;
  std::array<std::atomic<Task*>, kTakers> tasks_{};
};

TEST(WaitQueueStressTest, EveryItemArrivesThoughTakersAreKilled) {
  constexpr int kPutters = 2;
  const int rounds = StressRounds(10'000);
  const int64_t items = int64_t{kPutters} * rounds;
  Pipe pipe;
  KilledTakers takers(pipe, items);
  RunTogether(kPutters + KilledTakers::kTakers + 1, [&](int thread) {
    if (thread < kPutters) {
      for (int i = 0; i < rounds; ++i) pipe.Put(1);
    } else if (thread < kPutters + KilledTakers::kTakers) {
      takers.Take(thread - kPutters);
    } else {
      takers.Kill();
    }
  });
  EXPECT_EQ(takers.sum(), items);
}

TEST(CompletionStressTest, EachCompleteLetsOneWaiterThrough) {
  constexpr int kWaiters = 4;
  const int rounds = StressRounds(10'000);
  Completion completion;
  std::atomic<int64_t> through{0};
  RunTogether(kWaiters + 1, [&](int thread) {
    for (int i = 0; i < rounds; ++i) {
      if (thread == kWaiters) {
        for (int k = 0; k < kWaiters; ++k) completion.Complete();
      } else {
        completion.Wait();
        ++through;
      }
    }
  });
  EXPECT_EQ(through, int64_t{kWaiters} * rounds);
}

TEST(CompletionStressTest, OnTheWaitersStackItIsSafe) {
  const int rounds = StressRounds(20'000);
  std::atomic<Completion*> request{nullptr};
  int64_t answer = 0;  // plain: the completion hands it over
  RunTogether(2, [&](int thread) {
    for (int i = 0; i < rounds; ++i) {
      if (thread == 0) {
        Completion done;
        request = &done;
        done.Wait();
        ASSERT_EQ(answer, i);
      } else {
        Completion* done = nullptr;
        SpinUntil([&] { return (done = request.exchange(nullptr)) != nullptr; });
        answer = i;
        done->Complete();
      }
    }
  });
}

TEST(TaskStressTest, NoUnparkIsLost) {
  const int rounds = StressRounds(50'000);
  std::array<std::atomic<Task*>, 2> tasks{};
  Atomic<int> turn{0};
  int64_t plain = 0;
  RunTogether(2, [&](int self) {
    tasks[static_cast<size_t>(self)] = &CurrentTask();
    std::atomic<Task*>& other = tasks[static_cast<size_t>(1 - self)];
    SpinUntil([&] { return other.load() != nullptr; });
    for (int i = 0; i < rounds; ++i) {
      while (turn.Load(kAcquire) != self) Task::Park();
      ++plain;
      turn.Store(1 - self, kRelease);
      other.load()->Unpark();
    }
  });
  EXPECT_EQ(plain, 2 * int64_t{rounds});
}

TEST(TaskStressTest, ThreadsComeAndGoWhileTheirTasksAreWoken) {
  std::atomic<Task*> latest{&CurrentTask()};
  std::atomic<bool> stop{false};
  std::thread waker([&] {
    while (!stop) latest.load()->Unpark();
  });
  for (int i = 0; i < StressRounds(500); ++i) {
    std::thread visitor([&] {
      latest = &CurrentTask();
      Mutex<LockRank::kTestMiddle> mutex;
      const LockGuard guard(mutex);
      Task::Park();  // the waker is at it
    });
    visitor.join();
  }
  stop = true;
  waker.join();
}

}  // namespace
}  // namespace faultline
