// SPDX-License-Identifier: Apache-2.0
//
// What the modelled build notices about locks, waiting and the course of a run, one test per
// behaviour: lockdep's reports, deadlocks, lost wake-ups, livelocks, failed checks. Memory is in
// modelled_memory_test.cc.
//
// A report must name the tasks, the locks and the lines that a reader needs.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/sync/sync.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr ExecutionOptions kWithoutLockdep{.detail = LockDetail::kNone, .lockdep = false};

/// Runs `code(state)` as the only task, on a new State.
template <class State, class Code>
Execution::Body WithState(const Code& code) {
  return [code](Execution& run) {
    auto* state = run.New<State>();
    run.Spawn("task", [=] { code(*state); });
  };
}

struct Locks {
  OuterMutex outer;
  OuterSem sem;
  MiddleMutex middle;
  InnerLock inner;
  SpinLock<LockRank::kHeap> heap;
};

template <class Code>
Execution::Body WithLocks(const Code& code) {
  return WithState<Locks>(code);
}

void Yield() { Execution::Current()->Point({OpKind::kYield, nullptr, SourceLoc::Current()}); }

// -- Lockdep --------------------------------------------------------------------------------------

TEST(ModelledLockdepTest, ReportsALockTakenAgainByItsHolder) {
  ExpectViolation(ViolationKind::kLockOrder, "taken again by its holder",
                  WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    locks.outer.Lock();
                    locks.outer.Lock();
                  }));
}

TEST(ModelledLockdepTest, ReportsARecursiveReadHold) {
  ExpectViolation(ViolationKind::kLockOrder, "taken again by its holder",
                  WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    locks.sem.LockShared();
                    locks.sem.LockShared();
                  }));
}

TEST(ModelledLockdepTest, ReportsAWrongOrderWithBothChains) {
  const ReplayResult result =
      RunStraight(WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        {
          const LockGuard outer(locks.outer);
          const LockGuard middle(locks.middle);
        }
        locks.middle.Lock();
        locks.outer.Lock();
      }));
  ASSERT_TRUE(result.violation.has_value());
  EXPECT_EQ(result.violation->kind, ViolationKind::kLockOrder);
  const std::string& message = result.violation->message;
  EXPECT_THAT(message, HasSubstr("wrong lock order"));
  EXPECT_THAT(message, HasSubstr("(task) holds\n    #0 test_middle (exclusive)"));
  EXPECT_THAT(message, HasSubstr("and wants\n    test_outer (exclusive)"));
  EXPECT_THAT(message, HasSubstr("test_outer comes before test_middle"));
  EXPECT_THAT(message, HasSubstr("the order test_outer, test_middle was seen in this chain:\n"
                                 "    #0 test_outer (exclusive)"));
  EXPECT_THAT(message, ContainsRegex("then test_middle  at .*modelled_detection_test.cc:[0-9]+"));
}

TEST(ModelledLockdepTest, ReportsAWrongOrderWithoutADeadlockHappening) {
  ExpectViolation(ViolationKind::kLockOrder, "wrong lock order",
                  WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    locks.inner.Lock();
                    locks.heap.Lock();
                  }));
}

TEST(ModelledLockdepTest, LetsATryBreakTheOrder) {
  ExpectClean(WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const LockGuard middle(locks.middle);
    if (locks.outer.TryLock()) locks.outer.Unlock();
  }));
}

TEST(ModelledLockdepTest, ReportsTheReleaseOfASpinLockThatIsNotHeld) {
  ExpectViolation(
      ViolationKind::kLockMisuse, "which the task does not hold",
      WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS { locks.inner.Unlock(); }));
}

TEST(ModelledLockdepTest, ReportsTheReleaseOfAMutexThatIsNotHeld) {
  ExpectViolation(
      ViolationKind::kLockMisuse, "which the task does not hold",
      WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS { locks.outer.Unlock(); }));
}

TEST(ModelledLockdepTest, ReportsTheReleaseOfAMutexThatAnotherTaskHolds) {
  ExpectViolation(ViolationKind::kLockMisuse, "which the task does not hold", [](Execution& run) {
    auto* locks = run.New<Locks>();
    run.Spawn("holder", [=]() ABSL_NO_THREAD_SAFETY_ANALYSIS { locks->outer.Lock(); });
    run.Spawn("other", [=]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      if (!locks->outer.TryLock()) locks->outer.Unlock();
    });
  });
}

TEST(ModelledLockdepTest, ReportsTheReleaseOfAReadHoldThatIsNone) {
  ExpectViolation(
      ViolationKind::kLockMisuse, "which the task does not hold",
      WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS { locks.sem.UnlockShared(); }));
}

TEST(ModelledLockdepTest, ReportsAReleaseInTheOtherMode) {
  ExpectViolation(ViolationKind::kLockMisuse, "held in the other mode",
                  WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    locks.sem.LockShared();
                    locks.sem.Unlock();
                  }));
  ExpectViolation(ViolationKind::kLockMisuse, "held in the other mode",
                  WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    locks.sem.Lock();
                    locks.sem.UnlockShared();
                  }));
}

TEST(ModelledLockdepTest, ReportsTheDowngradeOfASharedHold) {
  ExpectViolation(ViolationKind::kLockMisuse, "does not hold exclusively",
                  WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    locks.sem.LockShared();
                    locks.sem.Downgrade();
                  }));
}

TEST(ModelledLockdepTest, AcceptsADowngradedHoldReleasedAsShared) {
  ExpectClean(WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    locks.sem.Lock();
    locks.sem.Downgrade();
    locks.sem.UnlockShared();
  }));
}

TEST(ModelledLockdepTest, ReportsATaskThatEndsWithALock) {
  ExpectViolation(
      ViolationKind::kLeak, "task task ended while it held test_inner",
      WithLocks([](Locks& locks) ABSL_NO_THREAD_SAFETY_ANALYSIS { locks.inner.Lock(); }));
}

// -- Sleeping where one must not ------------------------------------------------------------------

TEST(SleepInAtomicTest, ReportsASleepingLockUnderASpinLock) {
  ExpectViolation(ViolationKind::kSleepInAtomic, "under spinlock test_inner",
                  WithLocks([](Locks& locks) {
                    const LockGuard inner(locks.inner);
                    const LockGuard outer(locks.outer);
                  }));
}

TEST(SleepInAtomicTest, ReportsASleepingLockInAnRcuSection) {
  ExpectViolation(ViolationKind::kSleepInAtomic, "inside an RCU read section",
                  WithLocks([](Locks& locks) {
                    const RcuGuard guard;
                    const ReadGuard sem(locks.sem);
                  }));
}

TEST(SleepInAtomicTest, ReportsASleepingLockWithPreemptionOff) {
  static CpuSet cpus(1);
  ExpectViolation(ViolationKind::kSleepInAtomic, "with preemption off", WithLocks([](Locks& locks) {
                    const PreemptOff off(cpus);
                    const LockGuard outer(locks.outer);
                  }));
}

TEST(SleepInAtomicTest, ReportsEveryKindOfWait) {
  struct State {
    InnerLock lock;
    WaitQueue queue;
    Completion done;
  };
  const auto expect = [](const char* what, const auto& wait) {
    SCOPED_TRACE(what);
    ExpectViolation(ViolationKind::kSleepInAtomic, std::string(what) + " may sleep",
                    WithState<State>([wait](State& state) {
                      const LockGuard guard(state.lock);
                      wait(state);
                    }));
  };
  expect("park", [](State&) { Task::Park(); });
  expect("wait queue", [](State& state) { state.queue.Wait([] { return true; }); });
  expect("wait queue", [](State& state) { state.done.Wait(); });
  expect("synchronize", [](State&) { Rcu::Synchronize(); });
  expect("rcu barrier", [](State&) { Rcu::Barrier(); });
}

TEST(SleepInAtomicTest, LetsSpinLocksAndWakeUpsBeAnywhere) {
  struct State {
    InnerLock lock;
    WaitQueue queue;
  };
  ExpectClean(WithState<State>([](State& state) {
    const RcuGuard section;
    const LockGuard guard(state.lock);
    CurrentTask().Unpark();
  }));
}

// -- Those who wait for ever ----------------------------------------------------------------------

/// Two tasks that take two mutexes in opposite orders.
void TakeInBothOrders(Execution& run) {
  auto* locks = run.New<Locks>();
  run.NameObject(&locks->outer, sizeof(locks->outer), "the outer one");
  run.NameObject(&locks->middle, sizeof(locks->middle), "the middle one");
  run.Spawn("downward", [=] {
    const LockGuard outer(locks->outer);
    const LockGuard middle(locks->middle);
  });
  run.Spawn("upward", [=] {
    const LockGuard middle(locks->middle);
    const LockGuard outer(locks->outer);
  });
}

TEST(DeadlockTest, NamesTasksAndLocks) {
  const SearchResult result = SearchAll(&TakeInBothOrders, kWithoutLockdep);
  ASSERT_TRUE(result.finding.has_value());
  EXPECT_EQ(result.finding->violation.kind, ViolationKind::kDeadlock);
  const std::string& message = result.finding->violation.message;
  EXPECT_THAT(message, ContainsRegex("task downward waits in [a-z-]+ for test_middle "
                                     "the middle one  at .*modelled_detection_test.cc:[0-9]+"));
  EXPECT_THAT(message, ContainsRegex("task upward waits in [a-z-]+ for test_outer the outer one"));
}

TEST(DeadlockTest, NamesHoldersWhereLockdepKnowsThem) {
  // In rank order by a try, which lockdep lets pass, so that it is on and yet they deadlock.
  const auto body = [](Execution& run) {
    struct State {
      OuterMutex outer;
      OuterSem sem;
      Atomic<int> reads{0};
    };
    auto* state = run.New<State>();
    run.NameObject(&state->outer, sizeof(state->outer), "mutex");
    run.NameObject(&state->sem, sizeof(state->sem), "sem");
    run.Spawn("reader", [=]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      const LockGuard outer(state->outer, LockSubclass::kNormal);
      const ReadGuard sem(state->sem, LockSubclass::kNested);
    });
    run.Spawn("writer", [=]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      const WriteGuard sem(state->sem, LockSubclass::kNormal);
      const LockGuard outer(state->outer, LockSubclass::kNested);
    });
  };
  const SearchResult result = SearchAll(body);
  ASSERT_TRUE(result.finding.has_value());
  EXPECT_EQ(Name(result.finding->violation.kind), Name(ViolationKind::kDeadlock));
  const std::string& message = result.finding->violation.message;
  EXPECT_THAT(message, HasSubstr("for test_outer sem"));
  EXPECT_THAT(message, HasSubstr("which task writer holds"));
  EXPECT_THAT(message, HasSubstr("for test_outer mutex"));
  EXPECT_THAT(message, HasSubstr("which task reader holds"));
}

TEST(DeadlockTest, IsSeenOnSpinLocksToo) {
  const auto body = [](Execution& run) {
    struct State {
      InnerLock first;
      InnerLock second;
    };
    auto* state = run.New<State>();
    run.Spawn("forth", [=] {
      const LockGuard first(state->first);
      const LockGuard second(state->second);
    });
    run.Spawn("back", [=] {
      const LockGuard second(state->second);
      const LockGuard first(state->first);
    });
  };
  const SearchResult result = SearchAll(body, kWithoutLockdep);
  ASSERT_TRUE(result.finding.has_value());
  EXPECT_THAT(result.finding->violation.message, HasSubstr("task forth waits in spin-lock"));
  EXPECT_THAT(result.finding->violation.message, HasSubstr("task back waits in spin-lock"));
}

TEST(LostWakeupTest, IsSeenWhenASleeperIsLeft) {
  const auto body = [](Execution& run) {
    run.Spawn("sleeper", [] { Task::Park(); });
    run.Spawn("other", [] {});
  };
  ExpectViolation(ViolationKind::kLostWakeup, "task sleeper waits in park", body);
}

TEST(LostWakeupTest, IsSeenWhenTheConditionIsTestedBeforeQueueing) {
  ExpectViolationInSomeSchedule(ViolationKind::kLostWakeup, "waiter waits in", [](Execution& run) {
    struct State {
      Atomic<int> ready{0};
      Atomic<Task*> sleeper{nullptr};
    };
    auto* state = run.New<State>();
    run.Spawn("waiter", [=] {
      if (state->ready.Load(kAcquire) != 0) return;
      state->sleeper.Store(&CurrentTask(), kRelease);
      Task::Park();
    });
    run.Spawn("waker", [=] {
      state->ready.Store(1, kRelease);
      if (Task* sleeper = state->sleeper.Load(kAcquire)) sleeper->Unpark();
    });
  });
}

TEST(LostWakeupTest, IsNotSeenWhenTheWakeupComesFirst) {
  ExpectClean([](Execution& run) {
    auto* sleeper = run.New<Atomic<Task*>>(nullptr);
    run.Spawn("sleeper", [=] {
      sleeper->Store(&CurrentTask(), kRelease);
      Task::Park();
    });
    run.Spawn("waker", [=] {
      SpinUntil([=] { return sleeper->Load(kAcquire) != nullptr; });
      sleeper->Load(kAcquire)->Unpark();
    });
  });
}

// -- Runs that do not end -------------------------------------------------------------------------

TEST(StepLimitTest, EndsTasksThatYieldForEver) {
  const auto body = [](Execution& run) {
    auto* never = run.New<Atomic<int>>(0);
    for (const char* name : {"first", "second"}) {
      run.Spawn(name, [=] {
        while (never->Load(kRelaxed) == 0) Yield();
      });
    }
  };
  ExecutionOptions options = kWholeLocks;
  options.step_limit = 500;
  ExpectViolation(ViolationKind::kStepLimit, "livelock", body, options);
}

TEST(StepLimitTest, EndsATryThatFailsForEver) {
  const auto body = [](Execution& run) {
    auto* locks = run.New<Locks>();
    run.Spawn("holder", [=]() ABSL_NO_THREAD_SAFETY_ANALYSIS { locks->inner.Lock(); });
    run.Spawn("tries", [=]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      while (!locks->inner.TryLock()) {
      }
    });
  };
  ExecutionOptions options = kWholeLocks;
  options.step_limit = 500;
  ExpectViolation(ViolationKind::kStepLimit, "livelock", body, options);
}

TEST(StepLimitTest, LetsARunOfExactlyThatLengthPass) {
  const auto body = WithState<Atomic<int>>([](Atomic<int>& word) {
    for (int i = 0; i < 10; ++i) word.Store(i, kRelaxed);
  });
  ExecutionOptions options = kWholeLocks;
  options.step_limit = 10;
  ExpectClean(body, options);
  options.step_limit = 9;
  ExpectViolation(ViolationKind::kStepLimit, "step limit", body, options);
}

// -- Failed checks --------------------------------------------------------------------------------

TEST(FailedCheckTest, BecomesAViolationOfTheTask) {
  const auto body =
      WithState<Atomic<int>>([](Atomic<int>& word) { MM_CHECK_EQ(word.Load(kRelaxed), 1); });
  ExpectViolation(ViolationKind::kInvariant, "check failed: word.Load(kRelaxed) == 1: 0 vs 1",
                  body);
}

TEST(FailedCheckTest, BecomesAViolationAtTheEndOfTheRun) {
  const auto body = [](Execution& run) {
    run.Spawn("task", [] {});
    run.AtEnd([] { MM_CHECK_EQ(1, 2); });
  };
  ExpectViolation(ViolationKind::kInvariant, "check failed: 1 == 2", body);
}

TEST(FailedCheckTest, BecomesAViolationOfTheSetup) {
  ExpectViolation(ViolationKind::kInvariant, "check failed: 1 == 2",
                  [](Execution&) { MM_CHECK_EQ(1, 2); });
}

TEST(FailedCheckTest, BecomesAViolationInsideACondition) {
  ExpectViolation(ViolationKind::kInvariant, "check failed", WithState<Atomic<int>>([](auto& word) {
                    SpinUntil([&] {
                      MM_CHECK_EQ(word.Load(kRelaxed), 1);
                      return true;
                    });
                  }));
}

TEST(FailedCheckTest, IsFoundInTheOrderThatMakesItFail) {
  ExpectViolationInSomeSchedule(ViolationKind::kInvariant, "check failed", [](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    for (const char* name : {"first", "second"}) {
      run.Spawn(name, [=] { word->Store(word->Load(kRelaxed) + 1, kRelaxed); });
    }
    run.AtEnd([=] { MM_CHECK_EQ(word->Peek(), 2); });
  });
}

}  // namespace
}  // namespace faultline
