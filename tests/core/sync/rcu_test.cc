// SPDX-License-Identifier: Apache-2.0
//
// Tests of native RCU (core/sync/rcu.h; B12, B13, B14): what a grace period waits for, shown by
// hand-shakes, and where callbacks run.

#include "core/sync/rcu.h"

#include <atomic>
#include <cstdlib>
#include <latch>
#include <semaphore>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "core/sync/guards.h"
#include "core/sync/mutex.h"
#include "core/sync/spin_lock.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

/// A thread that stays in a read section until it is told to leave.
class SectionThread {
 public:
  SectionThread()
      : thread_([this] {
          const RcuGuard guard;
          const RcuGuard nested;
          inside_.count_down();
          leave_.acquire();
          left = true;
        }) {
    inside_.wait();
  }
  void Leave() { leave_.release(); }

  bool left = false;  // plain: the grace period orders it (ThreadSanitizer checks)

 private:
  std::latch inside_{1};
  std::counting_semaphore<> leave_{0};
  TestThread thread_;
};

TEST(RcuTest, SectionsNest) {
  EXPECT_FALSE(Rcu::InSection());
  {
    const RcuGuard outer;
    {
      const RcuGuard inner;
      EXPECT_TRUE(Rcu::InSection());
    }
    EXPECT_TRUE(Rcu::InSection());
  }
  EXPECT_FALSE(Rcu::InSection());
}

TEST(RcuTest, SectionIsTheTasksOwn) {
  const RcuGuard guard;
  bool in_section = true;
  TestThread other([&] { in_section = Rcu::InSection(); });
  other.Join();
  EXPECT_FALSE(in_section);
}

TEST(RcuTest, SynchronizeWaitsForAnOpenSection) {
  SectionThread reader;
  std::atomic<bool> returned{false};
  TestThread writer([&] {
    Rcu::Synchronize();
    EXPECT_TRUE(reader.left);
    returned = true;
  });
  writer.AwaitAsleep();
  EXPECT_FALSE(returned);
  reader.Leave();
  writer.Join();
}

TEST(RcuTest, SynchronizeReturnsWithoutReaders) { Rcu::Synchronize(); }

struct Retired {
  RcuHead head;  // first: the callback gets its address
  SectionThread* reader = nullptr;
  bool* reader_had_left = nullptr;
  std::thread::id ran_on;
  std::atomic<bool> ran{false};

  static void Run(RcuHead* head) {
    auto* self = reinterpret_cast<Retired*>(head);
    if (self->reader != nullptr) *self->reader_had_left = self->reader->left;
    self->ran_on = std::this_thread::get_id();
    self->ran = true;
  }
};

TEST(RcuTest, CallbackWaitsForAnOpenSection) {
  SectionThread reader;
  bool reader_had_left = false;
  Retired retired;
  retired.reader = &reader;
  retired.reader_had_left = &reader_had_left;
  Rcu::Retire(retired.head, &Retired::Run);
  TestThread waiter([] { Rcu::Barrier(); });
  waiter.AwaitAsleep();
  EXPECT_FALSE(retired.ran);
  reader.Leave();
  waiter.Join();
  EXPECT_TRUE(retired.ran);
  EXPECT_TRUE(reader_had_left);
}

TEST(RcuTest, CallbackRunsOnAnotherThread) {
  Retired retired;
  Rcu::Retire(retired.head, &Retired::Run);
  Rcu::Barrier();
  ASSERT_TRUE(retired.ran);
  EXPECT_NE(retired.ran_on, std::this_thread::get_id());
}

TEST(RcuTest, BarrierWaitsForEveryCallbackRetiredBefore) {
  constexpr int kObjects = 1000;
  static std::atomic<int> freed;
  freed = 0;
  struct Object {
    RcuHead head;
  };
  for (int i = 0; i < kObjects; ++i) {
    Rcu::Retire((new Object)->head, [](RcuHead* head) {
      delete reinterpret_cast<Object*>(head);
      ++freed;
    });
  }
  Rcu::Barrier();
  EXPECT_EQ(freed, kObjects);
}

TEST(RcuTest, RetireIsLegalInASectionAndUnderASpinlock) {
  Retired retired;
  {
    SpinLock<LockRank::kTestInner> lock;
    const RcuGuard section;
    const LockGuard guard(lock);
    Rcu::Retire(retired.head, &Retired::Run);
    EXPECT_FALSE(retired.ran);  // this very section holds it back
  }
  Rcu::Barrier();
  EXPECT_TRUE(retired.ran);
}

Mutex<LockRank::kTestMiddle> g_mutex;
int g_guarded ABSL_GUARDED_BY(g_mutex) = 0;

void CountUnderTheMutex(RcuHead*) {
  const LockGuard guard(g_mutex);
  ++g_guarded;
}

TEST(RcuTest, CallbacksMayTakeLocks) {
  RcuHead head;
  {
    const LockGuard guard(g_mutex);
    g_guarded = 0;
    Rcu::Retire(head, &CountUnderTheMutex);
    g_guarded += 10;
  }
  Rcu::Barrier();
  const LockGuard guard(g_mutex);
  EXPECT_EQ(g_guarded, 11);
}

// RCU's own thread becomes a task when a callback takes a lock; that must not show at exit.
TEST(RcuDeathTest, ProcessExitsCleanlyAfterACallbackTookALock) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        RcuHead head;
        Rcu::Retire(head, &CountUnderTheMutex);
        Rcu::Barrier();
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(RcuTest, ThreadsThatEndedHoldNothingBackAndLeaveTheirIds) {
  std::set<uint32_t> ids;
  for (int i = 0; i < 50; ++i) {
    TestThread reader([] { const RcuGuard guard; });
    ids.insert(reader.id());
  }
  Rcu::Synchronize();
  EXPECT_EQ(ids.size(), 1u);
}

TEST(RcuTest, ThreadMayEndWhileAnotherSynchronizes) {
  std::atomic<bool> stop{false};
  TestThread synchronizer([&] {
    while (!stop) Rcu::Synchronize();
  });
  for (int i = 0; i < 20; ++i) {
    TestThread reader([] { const RcuGuard guard; });
  }
  stop = true;
}

}  // namespace
}  // namespace faultline
