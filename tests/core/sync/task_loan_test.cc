// SPDX-License-Identifier: Apache-2.0
//
// TaskLoan's protocol (core/sync/native/task_loan.h) with real threads: a lender that parks between
// pieces of work, borrowers that do the work as its task, and unparks and kills whenever they come.
// ThreadSanitizer sees that what a task has to itself (its scopes, its random numbers) passes from
// the lender to a borrower and back in order, and never has two users.
//
// The lender here is what a server's executor is: a queue, a lock, and a flag that says that it is
// lent. The lock is the standard library's, so that nothing under test stands for its own proof.
#include "core/sync/native/task_loan.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "core/sync/spin.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

/// Pieces of work, each to be done once, as the lender's task, by its own thread or a borrower.
class Lender {
 public:
  Lender() : thread_([this] { Run(); }) {}
  ~Lender() { End(); }
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;

  [[nodiscard]] Task& task() const { return thread_.task(); }
  [[nodiscard]] const TestThread& thread() const { return thread_; }

  /// One more piece, for whoever is faster. The thread is woken.
  void Add() {
    const std::lock_guard lock(mutex_);
    ++to_do_;
    if (!gone_) task().Unpark();
  }
  /// Does a piece as the task, if it can be lent now. `meanwhile` runs in the middle of it.
  template <class Body>
  bool TryBorrow(const Body& meanwhile) {
    {
      const std::lock_guard lock(mutex_);
      if (lent_ || gone_ || !TaskLoan::IsPossible(task())) return false;
      lent_ = true;
    }
    {
      const TaskLoan loan(task());
      meanwhile();
      Work();
    }
    const std::lock_guard lock(mutex_);
    lent_ = false;
    ++by_borrowers_;
    returned_.notify_all();
    if (!gone_ && (to_do_ != 0 || ended_)) task().Unpark();
    return true;
  }
  /// Joins the thread, which does first what is left unless it was killed.
  void End() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      if (!gone_) task().Unpark();
    }
    thread_.Join();
  }

  // -- Once it has ended ----------------------------------------------------------------------

  [[nodiscard]] uint64_t done() const { return done_; }
  [[nodiscard]] uint64_t by_borrowers() const { return by_borrowers_; }
  [[nodiscard]] uint64_t by_itself() const { return by_itself_; }

 private:
  /// Touches what a task has to itself; plain fields, so that two at once are a data race.
  void Work() {
    Task& self = CurrentTask();
    EXPECT_EQ(&self, &task());
    ++self.no_wait;
    mixed_ ^= self.Random();
    --self.no_wait;
    ++done_;
  }
  void Run() {
    while (AwaitWork()) {
      Work();
      ++by_itself_;
    }
  }
  bool AwaitWork() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        returned_.wait(lock, [this] { return !lent_; });
        if (to_do_ != 0 && !CurrentTask().killed()) {
          --to_do_;
          return true;
        }
        if (ended_ || CurrentTask().killed()) {
          gone_ = true;
          return false;
        }
      }
      Task::Park();
    }
  }

  std::mutex mutex_;
  std::condition_variable returned_;
  bool lent_ = false;          // under mutex_
  bool ended_ = false;         // under mutex_
  bool gone_ = false;          // under mutex_: its task may be another thread's
  uint64_t to_do_ = 0;         // under mutex_
  uint64_t by_borrowers_ = 0;  // under mutex_
  // Whose turn it is has these to itself.
  uint64_t mixed_ = 0;
  uint64_t done_ = 0;
  uint64_t by_itself_ = 0;
  TestThread thread_;  // last: it uses the others
};

TEST(TaskLoanTest, ABorrowerIsTheTaskAndItselfAgainAfterwards) {
  Lender lender;
  lender.thread().AwaitParked();
  const Task& own = CurrentTask();
  EXPECT_TRUE(lender.TryBorrow([&] {
    EXPECT_EQ(&CurrentTask(), &lender.task());
    EXPECT_EQ(CurrentTask().id(), lender.task().id());
  }));
  EXPECT_EQ(&CurrentTask(), &own);
  lender.End();
  EXPECT_EQ(lender.done(), 1U);
}

TEST(TaskLoanTest, ATaskThatDoesNotParkIsNotLent) {
  EXPECT_FALSE(TaskLoan::IsPossible(CurrentTask()));
  Lender lender;
  lender.thread().AwaitParked();
  lender.task().Unpark();  // it has a token now, whether it has come to run or not
  SpinUntil([&] { return lender.TryBorrow([] {}); });
}

TEST(TaskLoanTest, AnUnparkDuringALoanWakesALenderThatWaitsForItsEnd) {
  Lender lender;
  lender.thread().AwaitParked();
  std::atomic<bool> in_loan{true};
  EXPECT_TRUE(lender.TryBorrow([&] {
    lender.Add();                   // for its own thread
    lender.thread().AwaitAsleep();  // not in Park: for the end of the loan
    EXPECT_FALSE(TaskLoan::IsPossible(lender.task()) && lender.TryBorrow([] {}));
    in_loan = false;
  }));
  EXPECT_FALSE(in_loan);
  lender.End();
  EXPECT_EQ(lender.by_itself(), 1U);
  EXPECT_EQ(lender.by_borrowers(), 1U);
}

TEST(TaskLoanTest, AKillDuringALoanIsSeenByTheBorrowerAndThenByTheLender) {
  Lender lender;
  lender.thread().AwaitParked();
  EXPECT_TRUE(lender.TryBorrow([&] {
    EXPECT_FALSE(CurrentTask().killed());
    std::thread killer([&] { lender.task().Kill(); });
    killer.join();
    EXPECT_TRUE(CurrentTask().killed());
  }));
  EXPECT_FALSE(CurrentTask().killed()) << "the borrower's own task was not meant";
  lender.Add();  // not begun any more
  lender.End();
  EXPECT_EQ(lender.by_itself(), 0U);
  EXPECT_EQ(lender.by_borrowers(), 1U);
}

TEST(TaskLoanStressTest, EachPieceIsDoneOnceWhoeverIsFaster) {
  constexpr int kThreads = 4;
  const int rounds = StressRounds(3000);
  Lender lender;
  std::atomic<uint64_t> added{0};
  std::atomic<uint64_t> borrowed{0};
  const uint64_t seed = StressSeed();
  RunTogether(kThreads, [&](int thread) {
    std::minstd_rand random(static_cast<uint32_t>(seed) + static_cast<uint32_t>(thread));
    for (int i = 0; i < rounds; ++i) {
      switch (random() % 4) {
        case 0:
          lender.Add();
          ++added;
          break;
        case 1:
          lender.task().Unpark();  // for no reason
          break;
        case 2:
          if (lender.TryBorrow([] {})) ++borrowed;
          break;
        default:
          // With more to do than the borrower takes: the lender has a reason to go on at once.
          if (lender.TryBorrow([&] {
                lender.Add();
                ++added;
                std::this_thread::yield();
              })) {
            ++borrowed;
          }
          break;
      }
    }
  });
  lender.End();
  EXPECT_EQ(lender.by_borrowers(), borrowed.load());
  EXPECT_EQ(lender.by_itself(), added.load());
  EXPECT_EQ(lender.done(), added + borrowed);
}

TEST(TaskLoanStressTest, AKillAtAnyTimeEndsTheLenderBehindTheLoanThatIsOn) {
  const int rounds = StressRounds(150);
  for (int round = 0; round < rounds; ++round) {
    Lender lender;
    std::atomic<bool> killed{false};
    RunTogether(3, [&](int thread) {
      if (thread == 0) {
        lender.Add();
        lender.task().Kill();
        killed = true;
      } else {
        while (!killed) (void)lender.TryBorrow([] {});
      }
    });
    lender.End();
    EXPECT_EQ(lender.done(), lender.by_borrowers() + lender.by_itself());
    EXPECT_LE(lender.by_itself(), 1U);
  }
}

}  // namespace
}  // namespace faultline
