// SPDX-License-Identifier: Apache-2.0
//
// Tests of native tasks (core/sync/task.h): tokens, kills, and how threads come by a task and leave
// it to the next.

#include "core/sync/task.h"

#include <atomic>
#include <latch>
#include <mutex>
#include <set>

#include <gtest/gtest.h>

#include "core/sync/native/task_registry.h"
#include "core/sync/spin.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

TEST(TaskTest, TokenThatCameFirstIsNotLost) {
  CurrentTask().Unpark();
  Task::Park();  // returns at once
}

TEST(TaskTest, TokensDoNotAddUp) {
  std::atomic<int> returns{0};
  std::latch unparked(1);
  TestThread parker([&] {
    unparked.wait();
    for (int i = 0; i < 2; ++i) {
      Task::Park();
      ++returns;
    }
  });
  parker.task().Unpark();
  parker.task().Unpark();
  unparked.count_down();
  parker.AwaitParked();
  EXPECT_EQ(returns, 1);
  parker.task().Unpark();
}

TEST(TaskTest, UnparkWakesAParkedTaskEachTime) {
  constexpr int kRounds = 1000;
  std::atomic<int> returns{0};
  TestThread parker([&] {
    for (int i = 0; i < kRounds; ++i) {
      Task::Park();
      ++returns;
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    parker.task().Unpark();
    SpinUntil([&] { return returns == i + 1; });
  }
}

TEST(TaskTest, KillStaysUntilItIsCleared) {
  Task& task = CurrentTask();
  EXPECT_FALSE(task.killed());
  task.Kill();
  Task::Park();  // a kill leaves a token
  EXPECT_TRUE(task.killed());
  task.ClearKill();
  EXPECT_FALSE(task.killed());
}

TEST(TaskTest, KillWakesAParkedTask) {
  TestThread parker([] {
    while (!CurrentTask().killed()) Task::Park();
  });
  parker.AwaitParked();
  parker.task().Kill();
}

TEST(TaskTest, LiveTasksHaveDifferentIds) {
  constexpr int kThreads = 8;
  std::mutex mutex;
  std::set<uint32_t> ids{CurrentTask().id()};
  std::latch all_attached(kThreads);
  RunTogether(kThreads, [&](int) {
    {
      const std::lock_guard guard(mutex);
      ids.insert(CurrentTask().id());
    }
    all_attached.arrive_and_wait();  // so that all live at once
  });
  EXPECT_EQ(ids.size(), size_t{kThreads} + 1);
  EXPECT_FALSE(ids.contains(0));
}

TEST(TaskTest, NextThreadTakesOverTheTaskOfOneThatEnded) {
  const Task* first = nullptr;
  const Task* second = nullptr;
  {
    TestThread thread([&] {
      first = &CurrentTask();
      NameCurrentTask("the first");
      CurrentTask().SetActivity(7);
      CurrentTask().Kill();
    });
  }
  bool is_fresh = false;
  TestThread thread([&] {
    const Task& task = CurrentTask();
    second = &task;
    is_fresh = task.name() == "task" && task.activity() == 0 && !task.killed();
  });
  thread.Join();
  EXPECT_EQ(first, second);
  EXPECT_TRUE(is_fresh);
}

TEST(TaskTest, RegistryFindsTasksById) {
  TaskRegistry& registry = TaskRegistry::Instance();
  EXPECT_EQ(registry.Find(CurrentTask().id()), &CurrentTask());
  EXPECT_EQ(registry.Find(0), nullptr);
  EXPECT_EQ(registry.Find(TaskRegistry::kMaxTasks), nullptr);
  EXPECT_EQ(registry.Find(~0u), nullptr);
}

// A token that its receiver did not need stays with the task; the next thread to get the task sees
// at most one needless wake-up, which every caller of Park expects.
TEST(TaskTest, UnparkAfterTheThreadEndedHurtsNobody) {
  Task* task = nullptr;
  {
    TestThread thread([&] { task = &CurrentTask(); });
  }
  task->Unpark();
  std::atomic<bool> go{false};
  TestThread thread([&] {
    while (!go) Task::Park();
  });
  EXPECT_EQ(&thread.task(), task);
  thread.AwaitParked();
  go = true;
  thread.task().Unpark();
}

}  // namespace
}  // namespace faultline
