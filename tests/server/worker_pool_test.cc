// SPDX-License-Identifier: Apache-2.0
//
// The worker pool: it grows while its threads are busy, refuses what neither a thread nor the queue
// has room for, lets idle threads go, and at its end runs all that was posted.
#include "server/worker_pool.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <absl/synchronization/barrier.h>
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

TEST(WorkerPoolTest, HasNoThreadBeforeTheFirstJob) {
  const WorkerPool pool({.max_threads = 4, .max_queue = 4});
  EXPECT_EQ(pool.usage().threads, 0U);
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
    while (pool.usage().threads != 0) std::this_thread::yield();
  }
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
