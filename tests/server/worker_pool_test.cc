// SPDX-License-Identifier: Apache-2.0
//
// The worker pool: it grows while its threads are busy, refuses what neither a thread nor the queue
// has room for, lets idle threads go, goes on when the host gives no more threads, and at its end
// runs all that was posted.
#include "server/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <absl/synchronization/notification.h>
#include <gtest/gtest.h>

namespace faultline::server {
namespace {

/// Jobs that do not end before they are let go.
class Gate {
 public:
  WorkerPool::Job Job() {
    return [this] {
      started_.fetch_add(1);
      open_.WaitForNotification();
    };
  }
  void AwaitStarted(int jobs) {
    while (started_.load() < jobs) std::this_thread::yield();
  }
  void Open() { open_.Notify(); }

 private:
  std::atomic<int> started_{0};
  absl::Notification open_;
};

/// A host that gives only so many threads.
class MeanHost {
 public:
  explicit MeanHost(int threads) : left_(threads) {}
  auto MakeThread() {
    return [this](std::function<void()> work) {
      if (left_.fetch_sub(1) <= 0) {
        left_.fetch_add(1);
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      }
      return std::thread(std::move(work));
    };
  }
  void Give(int threads) { left_.fetch_add(threads); }

 private:
  std::atomic<int> left_;
};

TEST(WorkerPoolTest, HasOneThreadBeforeTheFirstJob) {
  const WorkerPool pool({.max_threads = 4, .max_queue = 4});
  EXPECT_EQ(pool.usage().threads, 1U);
  EXPECT_EQ(pool.usage().busy, 0U);
}

TEST(WorkerPoolTest, GrowsSoThatNoJobWaitsForAnother) {
  Gate gate;
  WorkerPool pool({.max_threads = 3, .max_queue = 0});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(pool.TryPost(gate.Job()));
    gate.AwaitStarted(i + 1);
  }
  EXPECT_EQ(pool.usage().threads, 3U);
  EXPECT_EQ(pool.usage().busy, 3U);
  gate.Open();
}

TEST(WorkerPoolTest, RefusesWhenThreadsAndQueueAreFullAndTakesTheServersOwnAllTheSame) {
  Gate gate;
  WorkerPool pool({.max_threads = 2, .max_queue = 1});
  EXPECT_TRUE(pool.TryPost(gate.Job()));
  EXPECT_TRUE(pool.TryPost(gate.Job()));
  gate.AwaitStarted(2);
  std::atomic<int> ran{0};
  EXPECT_TRUE(pool.TryPost([&] { ran.fetch_add(1); }));
  EXPECT_FALSE(pool.TryPost([&] { ran.fetch_add(100); }));
  EXPECT_EQ(pool.usage().queued, 1U);
  pool.Post([&] { ran.fetch_add(1); });
  EXPECT_EQ(pool.usage().queued, 2U);
  gate.Open();
  while (ran.load() != 2) std::this_thread::yield();
  EXPECT_TRUE(pool.TryPost([] {}));
}

TEST(WorkerPoolTest, StartsJobsInTheOrderInWhichTheyCame) {
  Gate gate;
  std::vector<int> order;
  {
    WorkerPool pool({.max_threads = 1, .max_queue = 100});
    pool.Post(gate.Job());
    for (int i = 0; i < 50; ++i) pool.Post([&order, i] { order.push_back(i); });
    gate.Open();
  }
  ASSERT_EQ(order.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(WorkerPoolTest, LetsIdleThreadsGoAndStartsOthers) {
  WorkerPool pool({.max_threads = 4, .max_queue = 4, .keep_idle = absl::Milliseconds(1)});
  for (int round = 0; round < 3; ++round) {
    absl::Notification ran;
    pool.Post([&] { ran.Notify(); });
    ran.WaitForNotification();
    while (pool.usage().busy != 0) std::this_thread::yield();
  }
  Gate gate;
  for (int i = 0; i < 4; ++i) pool.Post(gate.Job());
  gate.AwaitStarted(4);
  EXPECT_EQ(pool.usage().threads, 4U);
  gate.Open();
  while (pool.usage().threads != 1) std::this_thread::yield();
}

// No thread need have come to run: what is starting counts as what is there.
TEST(WorkerPoolTest, InABurstTakesExactlyWhatThreadsAndQueueHaveRoomFor) {
  constexpr size_t kThreads = 4;
  constexpr size_t kQueue = 3;
  for (int round = 0; round < 50; ++round) {
    Gate gate;
    WorkerPool pool({.max_threads = kThreads, .max_queue = kQueue});
    for (size_t i = 0; i < kThreads + kQueue; ++i) {
      ASSERT_TRUE(pool.TryPost(gate.Job())) << i << " of round " << round;
      EXPECT_EQ(pool.usage().busy, std::min(i + 1, kThreads));
    }
    EXPECT_FALSE(pool.TryPost(gate.Job()));
    EXPECT_EQ(pool.usage().queued, kQueue);
    gate.Open();
  }
}

TEST(WorkerPoolTest, InBurstsOfManyThreadsRefusesNoneThatThereIsRoomFor) {
  constexpr int kPosters = 8;
  for (int round = 0; round < 20; ++round) {
    Gate gate;
    WorkerPool pool({.max_threads = 4, .max_queue = 4});
    std::barrier together(kPosters + 1);
    std::atomic<int> taken{0};
    std::vector<std::thread> posters;
    for (int i = 0; i <= kPosters; ++i) {
      posters.emplace_back([&] {
        together.arrive_and_wait();
        if (pool.TryPost(gate.Job())) taken.fetch_add(1);
      });
    }
    for (std::thread& poster : posters) poster.join();
    EXPECT_EQ(taken.load(), kPosters) << "of " << kPosters + 1;
    gate.Open();
  }
}

TEST(WorkerPoolTest, RefusesACallsJobThatTheHostHasNoThreadFor) {
  Gate gate;
  MeanHost host(2);
  WorkerPool pool({.max_threads = 4, .max_queue = 4, .make_thread = host.MakeThread()});
  EXPECT_TRUE(pool.TryPost(gate.Job()));
  EXPECT_TRUE(pool.TryPost(gate.Job()));
  EXPECT_FALSE(pool.TryPost(gate.Job()));
  EXPECT_EQ(pool.usage().threads, 2U);
  EXPECT_EQ(pool.usage().queued, 0U);
  host.Give(1);
  EXPECT_TRUE(pool.TryPost(gate.Job()));
  gate.AwaitStarted(3);
  EXPECT_FALSE(pool.TryPost(gate.Job()));
  gate.Open();
  while (pool.usage().busy != 0) std::this_thread::yield();
  EXPECT_TRUE(pool.TryPost([] {}));
}

TEST(WorkerPoolTest, CarriesOutTheServersOwnJobsWithTheThreadsThatTheHostGave) {
  std::vector<int> order;
  {
    Gate gate;
    MeanHost host(1);
    WorkerPool pool({.max_threads = 4, .max_queue = 0, .make_thread = host.MakeThread()});
    pool.Post(gate.Job());
    for (int i = 0; i < 5; ++i) pool.Post([&order, i] { order.push_back(i); });
    EXPECT_EQ(pool.usage().threads, 1U);
    EXPECT_EQ(pool.usage().queued, 5U);
    pool.Post([&] { pool.Post([&order] { order.push_back(5); }); });
    gate.Open();
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(WorkerPoolTest, CannotBeMadeWhereTheHostGivesNoThreadAtAll) {
  MeanHost host(0);
  EXPECT_THROW(WorkerPool({.max_threads = 4, .make_thread = host.MakeThread()}), std::system_error);
}

TEST(WorkerPoolTest, AtItsEndRunsWhatWasPostedAndWhatThatPosts) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool({.max_threads = 2, .max_queue = 0});
    for (int i = 0; i < 20; ++i) {
      pool.Post([&] {
        ran.fetch_add(1);
        pool.Post([&] {
          ran.fetch_add(1);
          pool.Post([&] { ran.fetch_add(1); });
        });
      });
    }
  }
  EXPECT_EQ(ran.load(), 60);
}

TEST(WorkerPoolTest, DestroysAJobBeforeItsThreadIsIdleAgain) {
  WorkerPool pool({.max_threads = 1, .max_queue = 4});
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  pool.Post([held = std::move(held)] {});
  absl::Notification next;
  pool.Post([&] { next.Notify(); });
  next.WaitForNotification();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace faultline::server
