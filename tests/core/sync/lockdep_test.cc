// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/lockdep.h, native: each kind of report at the first wrong acquisition, with no
// deadlock needed; what a report shows; and no report on anything legal.
//
// Locks are taken in wrong orders and modes on purpose, hence the functions that the thread-safety
// analysis does not look into; every one of them is a test.

#include "core/sync/lockdep.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/sync/lock_stats.h"
#include "core/sync/sync.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Report {
  LockdepProblem problem;
  std::string text;
};

class LockdepTest : public ::testing::Test {
 protected:
  LockdepTest() {
    reports().clear();
    ResetLockdepHistory();
    SetLockdepHandler([](LockdepProblem problem, std::string_view text) {
      reports().push_back({problem, std::string(text)});
    });
    SetLockdep(true);
  }
  ~LockdepTest() override {
    SetLockdep(kDebugChecks);
    SetLockdepHandler(nullptr);
    ResetLockdepHistory();
  }

  static std::vector<Report>& reports() {
    static std::vector<Report> reports;
    return reports;
  }
  /// The only report so far, which is then forgotten.
  static std::string TakeReport(LockdepProblem problem) {
    if (reports().size() != 1) {
      ADD_FAILURE() << reports().size() << " reports";
      return "";
    }
    const Report report = reports().front();
    reports().clear();
    EXPECT_EQ(report.problem, problem) << report.text;
    EXPECT_EQ(report.text.back(), '\n');
    return report.text;
  }

  RwSem<LockRank::kTestOuter> outer_;
  RwSem<LockRank::kTestOuter> outer2_;
  Mutex<LockRank::kTestMiddle> middle_;
  Mutex<LockRank::kTestMiddle> middle2_;
  SpinLock<LockRank::kTestInner> inner_;
  SpinLock<LockRank::kTestInner> inner2_;
};
using LockdepDeathTest = LockdepTest;

TEST_F(LockdepTest, RankOrderIsNotReported) {
  const ReadGuard outer(outer_);
  const LockGuard middle(middle_);
  const LockGuard inner(inner_);
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, WrongOrderIsReportedAtItsFirstAcquisition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  middle_.Lock();
  outer_.Lock();
  EXPECT_THAT(TakeReport(LockdepProblem::kOrder),
              AllOf(HasSubstr("wrong lock order"), HasSubstr("test_middle (exclusive)"),
                    HasSubstr("test_outer (exclusive)"),
                    HasSubstr("test_outer comes before test_middle in core/LOCKING.md"),
                    Not(HasSubstr("was seen"))));
  outer_.Unlock();
  middle_.Unlock();
  EXPECT_TRUE(reports().empty());  // the rest was all right
}

TEST_F(LockdepTest, ReportNamesTaskAndLines) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TestThread thread([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    NameCurrentTask("culprit");
    middle_.Lock();
    outer_.LockShared();
    outer_.UnlockShared();
    middle_.Unlock();
  });
  thread.Join();
  const std::string text = TakeReport(LockdepProblem::kOrder);
  EXPECT_THAT(text, HasSubstr("(culprit) holds"));
  EXPECT_THAT(text, HasSubstr("test_outer (shared)"));
  EXPECT_EQ(text.find("lockdep_test.cc:") != std::string::npos, kKeepsSourceLoc);
}

TEST_F(LockdepTest, ReportShowsTheChainThatTookTheRightOrder) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TestThread good([&] {
    NameCurrentTask("good");
    const ReadGuard outer(outer_);
    const LockGuard middle(middle_);
  });
  good.Join();
  EXPECT_TRUE(reports().empty());
  // Other locks of the same ranks, from another task: the class is what counts.
  middle2_.Lock();
  outer2_.Lock();
  const std::string text = TakeReport(LockdepProblem::kOrder);
  outer2_.Unlock();
  middle2_.Unlock();
  EXPECT_THAT(text, HasSubstr("the order test_outer, test_middle was seen in this chain:\n"
                              "    #0 test_outer (shared)"));
  EXPECT_THAT(text, HasSubstr("    then test_middle"));
}

TEST_F(LockdepTest, RecursionIsReportedInEveryMode) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  outer_.LockShared();
  outer_.LockShared();  // would deadlock with a writer queued in between (B6)
  EXPECT_THAT(TakeReport(LockdepProblem::kRecursion), HasSubstr("lock taken again by its holder"));
  outer_.UnlockShared();
  outer_.UnlockShared();
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, ForbiddenRankNestsNever) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  middle_.Lock();
  middle2_.Lock(LockSubclass::kNested);
  EXPECT_THAT(TakeReport(LockdepProblem::kOrder),
              HasSubstr("two test_middle locks nest only never"));
  middle2_.Unlock();
  middle_.Unlock();
}

TEST_F(LockdepTest, SubclassRankNestsUpwards) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  outer_.Lock();
  outer2_.Lock(LockSubclass::kNested);
  EXPECT_TRUE(reports().empty());
  outer2_.Unlock();
  outer2_.LockShared();
  EXPECT_THAT(TakeReport(LockdepProblem::kOrder),
              HasSubstr("two test_outer locks nest only with a greater subclass inside"));
  outer2_.UnlockShared();
  outer_.Unlock();
  outer_.Lock(LockSubclass::kInner);
  outer2_.Lock(LockSubclass::kNested);
  EXPECT_THAT(TakeReport(LockdepProblem::kOrder), HasSubstr("subclass 2"));
  outer2_.Unlock();
  outer_.Unlock();
}

// The rule of VMA locks: a writer of the mm may hold many, a fault one.
class VmaLockdepTest : public LockdepTest {
 protected:
  RwSem<LockRank::kMmapLock> mmap_lock_;
  RwSem<LockRank::kVmaLock> vma_;
  RwSem<LockRank::kVmaLock> vma2_;
};

TEST_F(VmaLockdepTest, ManyVmaLocksNestUnderTheMmapLockHeldForWrite)
ABSL_NO_THREAD_SAFETY_ANALYSIS {
  mmap_lock_.Lock();
  vma_.Lock();
  vma2_.Lock();
  EXPECT_TRUE(reports().empty());
  vma2_.Unlock();
  vma_.Unlock();
  mmap_lock_.Unlock();
}

TEST_F(VmaLockdepTest, TwoVmaLocksDoNotNestUnderTheMmapLockHeldForRead)
ABSL_NO_THREAD_SAFETY_ANALYSIS {
  mmap_lock_.LockShared();
  vma_.LockShared();
  vma2_.LockShared();
  EXPECT_THAT(TakeReport(LockdepProblem::kOrder),
              HasSubstr("nest only under an exclusive lock of the rank outside"));
  vma2_.UnlockShared();
  vma_.UnlockShared();
  mmap_lock_.UnlockShared();
}

// B3: a fault takes the VMA lock by a try. B4: it must not wait for mmap_lock then.
TEST_F(VmaLockdepTest, WaitingForTheMmapLockUnderATryTakenVmaLockIsReported)
ABSL_NO_THREAD_SAFETY_ANALYSIS {
  ASSERT_TRUE(vma_.TryLockShared());
  mmap_lock_.LockShared();
  EXPECT_THAT(TakeReport(LockdepProblem::kOrder),
              AllOf(HasSubstr("vma_lock (shared)"), HasSubstr("(by try)"),
                    HasSubstr("mmap_lock comes before vma_lock")));
  mmap_lock_.UnlockShared();
  ASSERT_TRUE(mmap_lock_.TryLockShared());  // the legal way
  EXPECT_TRUE(reports().empty());
  mmap_lock_.UnlockShared();
  vma_.UnlockShared();
}

TEST_F(VmaLockdepTest, VmaLockUnderTheMmapLockHeldForReadIsLegal) {
  const ReadGuard mmap_lock(mmap_lock_);
  const ReadGuard vma(vma_);
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, TryInTheWrongOrderIsNotReported) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  inner_.Lock();
  ASSERT_TRUE(middle_.TryLock());
  ASSERT_TRUE(outer_.TryLock());
  EXPECT_TRUE(reports().empty());
  outer_.Unlock();
  middle_.Unlock();
  inner_.Unlock();
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, FailedTryLeavesNoHold) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  LockHolder<Mutex<LockRank::kTestMiddle>> holder(middle_);
  ASSERT_FALSE(middle_.TryLock());
  EXPECT_EQ(CurrentTask().held.size(), 0u);
}

TEST_F(LockdepTest, KilledWaitLeavesNoHold) {
  LockHolder<Mutex<LockRank::kTestMiddle>> holder(middle_);
  CurrentTask().Kill();
  if (middle_.LockKillable()) {
    ADD_FAILURE();
    middle_.Unlock();
  }
  CurrentTask().ClearKill();
  EXPECT_EQ(CurrentTask().held.size(), 0u);
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, SleepingLockInAnRcuSectionIsReported) {
  const RcuGuard section;
  const LockGuard guard(middle_);
  EXPECT_THAT(TakeReport(LockdepProblem::kContext),
              AllOf(HasSubstr("test_middle"), HasSubstr("may sleep inside an RCU read section")));
}

TEST_F(LockdepTest, SleepingLockUnderASpinlockIsReported) {
  const LockGuard spin(inner_);
  const ReadGuard sem(outer_);
  EXPECT_THAT(TakeReport(LockdepProblem::kContext),
              HasSubstr("may sleep under spinlock test_inner"));
}

TEST_F(LockdepTest, SleepingLockWithPreemptionOffIsReported) {
  CpuSet cpus(1);
  const PreemptOff preempt_off(cpus);
  const LockGuard guard(middle_);
  EXPECT_THAT(TakeReport(LockdepProblem::kContext), HasSubstr("may sleep with preemption off"));
}

TEST_F(LockdepTest, SpinlockIsLegalInEveryContext) {
  CpuSet cpus(1);
  const RcuGuard section;
  const PreemptOff preempt_off(cpus);
  const LockGuard guard(inner_);
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, EverythingThatWaitsMaySleep) {
  SpinLock<LockRank::kZone> zone_lock;  // a rank that wake-ups are legal under
  const LockGuard spin(zone_lock);
  WaitQueue queue;
  queue.Wait([] { return true; });  // even if it would not wait this time
  EXPECT_THAT(TakeReport(LockdepProblem::kContext), HasSubstr("wait queue may sleep"));
  Completion completion;
  completion.CompleteAll();
  completion.Wait();
  EXPECT_THAT(TakeReport(LockdepProblem::kContext), HasSubstr("wait queue may sleep"));
  CurrentTask().Unpark();
  Task::Park();
  EXPECT_THAT(TakeReport(LockdepProblem::kContext), HasSubstr("park may sleep"));
  Rcu::Synchronize();
  EXPECT_THAT(TakeReport(LockdepProblem::kContext), HasSubstr("synchronize may sleep"));
  Rcu::Barrier();
  EXPECT_THAT(TakeReport(LockdepProblem::kContext), HasSubstr("rcu barrier may sleep"));
  MaySleep("my allocation");
  EXPECT_THAT(TakeReport(LockdepProblem::kContext),
              HasSubstr("my allocation may sleep under spinlock zone"));
}

TEST_F(LockdepTest, MaySleepIsSilentWhereSleepingIsAllowed) {
  const WriteGuard outer(outer_);
  const LockGuard middle(middle_);
  MaySleep("my allocation");
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, ReleaseOfALockThatTheTaskDoesNotHoldIsReported)
ABSL_NO_THREAD_SAFETY_ANALYSIS {
  ReadHolder<RwSem<LockRank::kTestOuter>> holder(outer_);
  outer_.UnlockShared();  // the other task's hold
  EXPECT_THAT(TakeReport(LockdepProblem::kMisuse), HasSubstr("release of test_outer (shared)"));
  ASSERT_TRUE(outer_.TryLockShared());  // give it back
  HeldLock* mine = CurrentTask().held.Find(&outer_);
  ASSERT_NE(mine, nullptr);
  CurrentTask().held.Remove(mine);
}

TEST_F(LockdepTest, DowngradeOfASharedHoldIsReported) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Task& task = CurrentTask();
  const LockId id{&outer_, LockRank::kTestOuter};
  outer_.LockShared();
  HookDowngraded(task, id, SourceLoc::Current());
  EXPECT_THAT(TakeReport(LockdepProblem::kMisuse),
              HasSubstr("downgrade of test_outer (exclusive)"));
  outer_.UnlockShared();
}

TEST_F(LockdepTest, ReleaseInTheOtherModeIsReported) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Task& task = CurrentTask();
  const LockId id{&outer_, LockRank::kTestOuter};
  outer_.LockShared();
  // The hook alone: the semaphore itself would be broken afterwards.
  HookReleased(task, id, LockMode::kExclusive, SourceLoc::Current());
  EXPECT_THAT(TakeReport(LockdepProblem::kMisuse), HasSubstr("held in the other mode"));
  HookAcquired(task, id, LockMode::kShared, LockSubclass::kNormal, Acquisition::kTry,
               SourceLoc::Current());
  outer_.UnlockShared();
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, DowngradedHoldIsReleasedAsShared) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  outer_.Lock();
  outer_.Downgrade();
  ASSERT_EQ(CurrentTask().held.size(), 1u);
  EXPECT_EQ(CurrentTask().held[0].mode, LockMode::kShared);
  outer_.UnlockShared();
  EXPECT_TRUE(reports().empty());
  EXPECT_EQ(CurrentTask().held.size(), 0u);
}

TEST_F(LockdepTest, HoldsMayEndInAnyOrder) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  outer_.Lock();
  middle_.Lock();
  inner_.Lock();
  outer_.Unlock();
  inner_.Unlock();
  middle_.Unlock();
  EXPECT_TRUE(reports().empty());
  EXPECT_EQ(CurrentTask().held.size(), 0u);
}

TEST_F(LockdepTest, NothingIsReportedWhileOff) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  SetLockdep(false);
  middle_.Lock();
  outer_.Lock();
  const RcuGuard section;
  MaySleep("my allocation");
  outer_.Unlock();
  middle_.Unlock();
  EXPECT_TRUE(reports().empty());
}

TEST_F(LockdepTest, HoldsFromBeforeAPauseAreForgotten) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  inner_.Lock();
  SetLockdep(false);
  inner_.Unlock();
  SetLockdep(true);
  outer_.Lock();  // the task holds nothing else, whatever lockdep last saw
  outer_.Unlock();
  EXPECT_TRUE(reports().empty());
  EXPECT_EQ(CurrentTask().held.size(), 0u);
}

TEST_F(LockdepTest, ThreadMayEndAfterHoldsThatAPauseHid) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TestThread thread([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    inner_.Lock();
    SetLockdep(false);
    inner_.Unlock();
  });
  thread.Join();
  TestThread next([&] { EXPECT_EQ(CurrentTask().held.size(), 0u); });
}

TEST_F(LockdepDeathTest, DefaultHandlerPrintsTheReportAndAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  SetLockdepHandler(nullptr);
  EXPECT_DEATH(
      [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        SetLockdepHandler(nullptr);
        SetLockdep(true);
        middle_.Lock();
        outer_.Lock();
      }(),
      "lockdep: wrong lock order");
}

// -- No report on anything legal ------------------------------------------------------------------

/// A lock of any kind, for programs made at random.
struct AnyLock {
  LockRank rank;
  std::function<void(LockSubclass)> lock;
  std::function<void()> unlock;
  std::function<bool()> try_lock;
  bool exclusive;
};

template <template <LockRank> class Lock, LockRank kRank>
void AddExclusive(std::vector<AnyLock>& locks) {
  auto lock = std::make_shared<Lock<kRank>>();
  locks.push_back({kRank,
                   [lock](LockSubclass subclass)
                       ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->Lock(subclass); },
                   [lock]() ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->Unlock(); },
                   [lock]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return lock->TryLock(); }, true});
}

template <LockRank kRank>
void AddShared(std::vector<AnyLock>& locks) {
  auto lock = std::make_shared<RwSem<kRank>>();
  locks.push_back(
      {kRank,
       [lock](LockSubclass subclass) ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->LockShared(subclass); },
       [lock]() ABSL_NO_THREAD_SAFETY_ANALYSIS { lock->UnlockShared(); },
       [lock]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return lock->TryLockShared(); }, false});
}

/// Every rank at least once, most of them twice.
std::vector<AnyLock> LocksOfEveryRank() {
  std::vector<AnyLock> locks;
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    const auto add = [&]<LockRank kRank>(std::integral_constant<LockRank, kRank>) {
      if constexpr (Info(kRank).kind == LockKind::kSpinning) {
        AddExclusive<SpinLock, kRank>(locks);
        AddExclusive<SpinLock, kRank>(locks);
      } else {
        AddExclusive<Mutex, kRank>(locks);
        AddExclusive<RwSem, kRank>(locks);
        AddShared<kRank>(locks);
      }
    };
    (add(std::integral_constant<LockRank, static_cast<LockRank>(kIndex)>{}), ...);
  }(std::make_integer_sequence<int, kLockRanks>{});
  return locks;
}

/// A task that takes and releases locks at random, within the rules of lock_rank.h as this test
/// understands them.
class LegalProgram {
 public:
  explicit LegalProgram(uint64_t seed) : random_(seed), locks_(LocksOfEveryRank()) {}

  void Step() {
    const size_t pick = random_() % locks_.size();
    if (held_.size() == 12 || (random_() % 3 == 0 && !held_.empty())) {
      Release(random_() % held_.size());
    } else if (std::ranges::none_of(held_, [&](const Held& h) { return h.lock == pick; })) {
      Acquire(pick);
    }
  }
  void Finish() {
    while (!held_.empty()) Release(0);
  }

 private:
  struct Held {
    size_t lock;
    LockSubclass subclass;
  };

  void Acquire(size_t pick) {
    const auto subclass = static_cast<LockSubclass>(random_() % 4);
    if (random_() % 4 == 0) {  // a try may do anything
      if (locks_[pick].try_lock()) held_.push_back({pick, LockSubclass::kNormal});
    } else if (IsLegal(pick, subclass)) {
      locks_[pick].lock(subclass);
      held_.push_back({pick, subclass});
    }
  }
  void Release(size_t which) {
    locks_[held_[which].lock].unlock();
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
  }
  [[nodiscard]] bool IsLegal(size_t pick, LockSubclass subclass) const {
    const LockRank rank = locks_[pick].rank;
    const bool sleeps = Info(rank).kind == LockKind::kSleeping;
    return std::ranges::all_of(held_, [&](const Held& h) {
      const LockRank other = locks_[h.lock].rank;
      if (sleeps && Info(other).kind == LockKind::kSpinning) return false;
      if (other != rank) return other < rank;
      if (Info(rank).same_rank == SameRank::kBySubclass) return h.subclass < subclass;
      return Info(rank).same_rank == SameRank::kUnderOuter && HoldsExclusively(rank);
    });
  }
  /// Whether a lock of the rank just outside of `rank` is held for writing.
  [[nodiscard]] bool HoldsExclusively(LockRank rank) const {
    return std::ranges::any_of(held_, [&](const Held& h) {
      return static_cast<int>(locks_[h.lock].rank) == static_cast<int>(rank) - 1 &&
             locks_[h.lock].exclusive;
    });
  }

  std::mt19937_64 random_;
  std::vector<AnyLock> locks_;
  std::vector<Held> held_;
};

TEST_F(LockdepTest, LongRandomLegalProgramsAreNotReported) {
  const uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  LegalProgram program(seed);
  for (int step = 0; step < 200'000 && reports().empty(); ++step) program.Step();
  program.Finish();
  ASSERT_TRUE(reports().empty()) << "seed " << seed << "\n" << reports().front().text;
  EXPECT_EQ(CurrentTask().held.size(), 0u);
}

}  // namespace
}  // namespace faultline
