// SPDX-License-Identifier: Apache-2.0
//
// The searches themselves (core/sync/modelled/search.h, depth_first.h, pct.h) and the executions
// under them: what is covered, that everything repeats, how results are worded, and that runs which
// end in the middle leave nothing behind.

#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/sync/modelled/pct.h"
#include "core/sync/sync.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

using ::testing::HasSubstr;

/// `tasks` tasks with `steps` stores each, to one word or each to its own.
Execution::Body Storing(int tasks, int steps, bool shared) {
  static constexpr const char* kNames[] = {"a", "b", "c", "d"};
  return [=](Execution& run) {
    struct State {
      Atomic<int> words[4];
      uint64_t order = 0;
    };
    auto* state = run.New<State>();
    for (int task = 0; task < tasks; ++task) {
      run.Spawn(kNames[task], [=] {
        for (int i = 0; i < steps; ++i) {
          state->words[shared ? 0 : task].Store(i, kRelaxed);
          state->order = state->order * 10 + uint64_t(task) + 1;
        }
      });
    }
    run.DigestWith([=] { return state->order; });
  };
}

/// Two tasks that each add 1 to a word, but not atomically.
void LosingUpdate(Execution& run) {
  auto* word = run.New<Atomic<int>>(0);
  for (const char* name : {"first", "second"}) {
    run.Spawn(name, [=] { word->Store(word->Load(kRelaxed) + 1, kRelaxed); });
  }
  run.AtEnd([=] { MM_CHECK_EQ(word->Peek(), 2); });
}

SearchResult Search(const Execution::Body& body, SearchOptions options) {
  options.collect_digests = true;
  return Explore(SubjectFor(body), options);
}

// -- What is covered ------------------------------------------------------------------------------

TEST(DepthFirstTest, CountsEveryInterleavingOnce) {
  // Without a bound: binomial(6, 3).
  const SearchResult result = Search(Storing(2, 3, true), {.pruning = Pruning::kNone, .bound = 99});
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.schedules, 20u);
  EXPECT_EQ(result.digests.size(), 20u);
  EXPECT_EQ(result.longest, 6u);
  EXPECT_EQ(result.steps, 120u);
}

TEST(DepthFirstTest, CountsEveryInterleavingWithinTheBoundOnce) {
  // Cut each task's 3 steps into runs that alternate; a switch at a task's end costs nothing.
  const std::vector<uint64_t> expected = {2, 6, 14, 18, 20, 20};
  for (uint32_t bound = 0; bound < expected.size(); ++bound) {
    const SearchResult result =
        Search(Storing(2, 3, true), {.pruning = Pruning::kNone, .bound = bound});
    EXPECT_EQ(result.schedules, expected[bound]) << bound;
    EXPECT_EQ(result.digests.size(), expected[bound]) << bound;
  }
}

TEST(DepthFirstTest, TriesOneOrderOfWhatDoesNotInteract) {
  const SearchResult result = Search(Storing(3, 3, false), {.bound = 2});
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.schedules, 1u);
}

TEST(DepthFirstTest, FindsNoLostUpdateWithoutAPreemption) {
  const SearchResult none = Search(&LosingUpdate, {.bound = 0});
  EXPECT_TRUE(none.complete);
  EXPECT_FALSE(none.finding.has_value());
  const SearchResult one = Search(&LosingUpdate, {.bound = 1});
  ASSERT_TRUE(one.finding.has_value());
  EXPECT_EQ(one.finding->preemptions, 1u);
  EXPECT_FALSE(one.complete);
}

TEST(DepthFirstTest, SwitchesForFreeWhereATaskYields) {
  const auto body = [](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    for (const char* name : {"first", "second"}) {
      run.Spawn(name, [=] {
        const int seen = word->Load(kRelaxed);
        Execution::Current()->Point({OpKind::kYield, nullptr, SourceLoc::Current()});
        word->Store(seen + 1, kRelaxed);
      });
    }
    run.AtEnd([=] { MM_CHECK_EQ(word->Peek(), 2); });
  };
  const SearchResult result = Search(body, {.bound = 0});
  ASSERT_TRUE(result.finding.has_value());
  EXPECT_EQ(result.finding->preemptions, 0u);
}

// -- Lock detail ----------------------------------------------------------------------------------

TEST(LockDetailTest, ShowsMoreOfLocksWithEachLevel) {
  const auto body = [](Execution& run) {
    struct State {
      OuterMutex mutex;
      InnerLock lock;
    };
    auto* state = run.New<State>();
    run.Spawn("holder", [=] {
      const LockGuard mutex(state->mutex);
      const LockGuard lock(state->lock);
    });
    run.Spawn("waiter", [=] {
      const LockGuard mutex(state->mutex);
      const LockGuard lock(state->lock);
    });
  };
  std::vector<uint32_t> longest;
  for (const LockDetail detail : {LockDetail::kNone, LockDetail::kSleeping, LockDetail::kAll}) {
    const SearchResult result = SearchAll(body, {.detail = detail});
    EXPECT_TRUE(result.complete);
    EXPECT_FALSE(result.finding.has_value());
    longest.push_back(result.longest);
  }
  EXPECT_LT(longest[0], longest[1]);
  EXPECT_LT(longest[1], longest[2]);
}

TEST(LockDetailTest, MakesALockOperationOneStep) {
  const auto body = [](Execution& run) {
    auto* mutex = run.New<OuterMutex>();
    run.Spawn("task", [=] { const LockGuard guard(*mutex); });
  };
  EXPECT_EQ(SearchAll(body).longest, 2u);
}

// -- Repeating ------------------------------------------------------------------------------------

TEST(DeterminismTest, TwoSearchesAreTheSame) {
  for (const Pruning pruning : {Pruning::kNone, Pruning::kBpor}) {
    const SearchResult first = Search(Storing(3, 2, true), {.pruning = pruning});
    const SearchResult second = Search(Storing(3, 2, true), {.pruning = pruning});
    EXPECT_EQ(first.schedules, second.schedules);
    EXPECT_EQ(first.steps, second.steps);
    EXPECT_EQ(first.digests, second.digests);
  }
  const SearchResult first = Search(&LosingUpdate, {});
  const SearchResult second = Search(&LosingUpdate, {});
  ASSERT_TRUE(first.finding.has_value() && second.finding.has_value());
  EXPECT_EQ(first.finding->replay, second.finding->replay);
  EXPECT_EQ(first.finding->table, second.finding->table);
  EXPECT_EQ(first.finding->schedule, second.finding->schedule);
}

TEST(DeterminismTest, ObjectsHaveTheSameAddressesInEveryRun) {
  std::set<const void*> words;
  std::set<const void*> pieces;
  const auto body = [&](Execution& run) {
    words.insert(run.New<Atomic<int>>(0));
    void* piece = *run.heap().Allocate(100);
    pieces.insert(piece);
    Heap* heap = &run.heap();
    run.Spawn("task", [=] { heap->Free(piece, 100); });
    run.Spawn("other", [] {});
  };
  Execution execution(kWholeLocks);
  for (int i = 0; i < 10; ++i) {
    ReplayDriver driver({});
    EXPECT_EQ(execution.Run(body, driver), RunStatus::kCompleted);
  }
  EXPECT_EQ(words.size(), 1u);
  EXPECT_EQ(pieces.size(), 1u);
}

TEST(DeterminismTest, MemoryIsZeroAtTheStartOfEveryRun) {
  const auto body = [](Execution& run) {
    auto* bytes = static_cast<unsigned char*>(*run.heap().Allocate(64));
    for (int i = 0; i < 64; ++i) MM_CHECK_EQ(bytes[i], 0);
    Heap* heap = &run.heap();
    run.Spawn("task", [=] {
      bytes[5] = 1;
      heap->Free(bytes, 64);
    });
  };
  Execution execution(kWholeLocks);
  for (int i = 0; i < 3; ++i) {
    ReplayDriver driver({});
    EXPECT_EQ(execution.Run(body, driver), RunStatus::kCompleted);
  }
}

/// The schedules that a PCT search of that seed makes.
std::vector<std::vector<ReplayChoice>> PctSchedules(uint64_t seed, int count) {
  std::vector<std::vector<ReplayChoice>> schedules;
  Execution execution(kWholeLocks);
  PctDriver driver(seed, 3);
  const Execution::Body body = Storing(3, 4, true);
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(execution.Run(body, driver), RunStatus::kCompleted);
    schedules.push_back(ChoicesOf(execution));
    driver.Advance();
  }
  return schedules;
}

TEST(PctTest, RepeatsItselfForTheSameSeed) { EXPECT_EQ(PctSchedules(7, 50), PctSchedules(7, 50)); }

TEST(PctTest, DiffersBetweenSeeds) { EXPECT_NE(PctSchedules(7, 50), PctSchedules(8, 50)); }

TEST(PctTest, VariesWithinASeed) {
  const auto schedules = PctSchedules(7, 200);
  std::set<std::string> distinct;
  for (const auto& choices : schedules) distinct.insert(EncodeReplay({{}, choices}));
  EXPECT_GT(distinct.size(), 50u);
}

TEST(PctTest, NeverClaimsToBeComplete) {
  const SearchResult result =
      Search(Storing(1, 1, true), {.strategy = Strategy::kPct, .max_schedules = 20});
  EXPECT_EQ(result.schedules, 20u);
  EXPECT_FALSE(result.complete);
}

// -- Wording --------------------------------------------------------------------------------------

TEST(SummaryTest, SaysCompleteOrCapped) {
  SearchOptions options{.pruning = Pruning::kNone, .bound = 2};
  EXPECT_EQ(Search(Storing(2, 3, true), options).Summary(options),
            "no violation in 14 schedules, sequentially consistent, preemption bound 2, complete");
  options.max_schedules = 10;
  const SearchResult capped = Search(Storing(2, 3, true), options);
  EXPECT_EQ(capped.schedules, 10u);
  EXPECT_FALSE(capped.complete);
  EXPECT_EQ(capped.Summary(options),
            "no violation in 10 schedules, sequentially consistent, preemption bound 2, capped");
}

TEST(SummaryTest, IsCompleteWhenTheBudgetIsJustEnough) {
  const SearchOptions options{.pruning = Pruning::kNone, .bound = 2, .max_schedules = 14};
  EXPECT_TRUE(Search(Storing(2, 3, true), options).complete);
}

TEST(SummaryTest, NamesTheSeedAndDepthOfRandomSchedules) {
  const SearchOptions options{
      .strategy = Strategy::kPct, .pct_depth = 4, .seed = 9, .max_schedules = 5};
  EXPECT_EQ(Search(Storing(2, 1, true), options).Summary(options),
            "no violation in 5 schedules, sequentially consistent, random with seed 9 and depth 4");
}

TEST(SummaryTest, NamesWhatWasFound) {
  const SearchOptions options{.bound = 1};
  const SearchResult result = Search(&LosingUpdate, options);
  ASSERT_TRUE(result.finding.has_value());
  EXPECT_EQ(result.Summary(options),
            "failed invariant in schedule " + std::to_string(result.finding->schedule) +
                " (1 preemptions), sequentially consistent, preemption bound 1");
}

TEST(SearchTest, TellsItsProgress) {
  std::vector<uint64_t> told;
  SearchOptions options{.strategy = Strategy::kPct, .max_schedules = 10'000};
  options.progress = [&](uint64_t schedules) { told.push_back(schedules); };
  EXPECT_EQ(Search(Storing(2, 1, true), options).schedules, 10'000u);
  EXPECT_EQ(told, (std::vector<uint64_t>{4096, 8192}));
}

// -- Reports --------------------------------------------------------------------------------------

TEST(RunTableTest, ShowsWhoDidWhatToWhichObjectWhere) {
  const std::string line = std::to_string(__LINE__ + 4);
  const ReplayResult result = RunStraight([](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    run.NameObject(word, sizeof(*word), "the_word");
    run.Spawn("writer", [=] { word->Store(42, kRelaxed); });
    run.Spawn("reader", [=] { (void)word->Load(kRelaxed); });
  });
  EXPECT_THAT(result.table, testing::ContainsRegex("1  0 writer +store +the_word +0x2a +"
                                                   "tests/core/sync/modelled_search_test.cc:" +
                                                   line));
  EXPECT_THAT(result.table, testing::ContainsRegex("2  1 reader +load +the_word +0x2a +"));
}

TEST(RunTableTest, ShowsSectionsAndFrees) {
  const ReplayResult result = RunStraight([](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    Heap* heap = &run.heap();
    run.Spawn("task", [=] {
      const RcuGuard guard;
      word->Store(1, kRelaxed);
      void* piece = *heap->Allocate(16);
      heap->Free(piece, 16);
    });
  });
  EXPECT_THAT(result.table, HasSubstr("rcu-enter"));
  EXPECT_THAT(result.table, HasSubstr("free "));
  EXPECT_THAT(result.table, HasSubstr("rcu-leave"));
}

// -- Runs that end in the middle ------------------------------------------------------------------

uint64_t MappedPages() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST(AbandonedRunTest, LeavesNothingBehind) {
  const auto body = [](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    for (const char* name : {"first", "second", "third"}) {
      run.Spawn(name, [=] {
        const RcuGuard guard;
        word->FetchAdd(1, kRelaxed);
        MM_CHECK_LT(word->Load(kRelaxed), 3);
        Task::Park();
      });
    }
  };
  Execution execution({.detail = LockDetail::kNone, .lockdep = false});
  std::string first_table;
  uint64_t mapped = 0;
  for (int i = 0; i < 1000; ++i) {
    PctDriver driver(3, 2);
    ASSERT_EQ(execution.Run(body, driver), RunStatus::kViolation);
    const std::string table = FormatRun(execution);
    if (i == 0) first_table = table;
    ASSERT_EQ(table, first_table) << "run " << i;
    if (i == 100) mapped = MappedPages();
  }
  if (!kAsan && !kTsan) {
    EXPECT_LE(MappedPages(), mapped + 64);
  }
}

TEST(AbandonedRunTest, DoesNotDisturbTheNextOne) {
  Execution execution(kWholeLocks);
  bool fails = true;
  const Execution::Body body = [&fails](Execution& run) {
    auto* lock = run.New<InnerLock>();
    auto* word = run.New<Atomic<int>>(0);
    run.Spawn("first", [=, &fails] {
      const RcuGuard section;
      const LockGuard guard(*lock);
      word->Store(1, kRelaxed);
      MM_CHECK(!fails);
    });
    run.Spawn("second", [=] {
      const LockGuard guard(*lock);
      MM_CHECK_EQ(CurrentTask().held.size(), 1u);
      MM_CHECK(!Rcu::InSection());
    });
  };
  for (int i = 0; i < 10; ++i) {
    fails = i % 2 == 0;
    ReplayDriver driver({});
    EXPECT_EQ(execution.Run(body, driver), fails ? RunStatus::kViolation : RunStatus::kCompleted)
        << FormatRun(execution);
  }
}

/// Stops the run after so many steps.
class StopAfter : public Driver {
 public:
  explicit StopAfter(uint32_t steps) : steps_(steps) {}
  int Choose(const Execution& execution, FiberMask eligible, int current) override {
    if (execution.step_count() == steps_) return kNoFiber;
    return ChooseWithoutPreemption(execution, eligible, current);
  }

 private:
  uint32_t steps_;
};

TEST(AbandonedRunTest, MayBeStoppedByTheDriver) {
  Execution execution(kWholeLocks);
  const Execution::Body body = Storing(2, 3, true);
  for (uint32_t steps = 0; steps < 6; ++steps) {
    StopAfter driver(steps);
    EXPECT_EQ(execution.Run(body, driver), RunStatus::kStopped);
    EXPECT_EQ(execution.step_count(), steps);
  }
  StopAfter driver(6);
  EXPECT_EQ(execution.Run(body, driver), RunStatus::kCompleted);
}

TEST(AbandonedRunTest, LeavesItsTasksInNoScope) {
  Execution execution(kWholeLocks);
  uint32_t seen = ~0u;
  const Execution::Body body = [&seen](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    run.Spawn("task", [word, &seen] {
      seen = CurrentTask().alloc_scope;
      CurrentTask().alloc_scope = 1;  // a scope that does not come to its end
      word->Store(1, kRelaxed);
      CurrentTask().alloc_scope = seen;
    });
  };
  StopAfter at_once(0);
  EXPECT_EQ(execution.Run(body, at_once), RunStatus::kStopped);
  StopAfter never(100);
  EXPECT_EQ(execution.Run(body, never), RunStatus::kCompleted);
  EXPECT_EQ(seen, 0u);
}

// -- Stacks ---------------------------------------------------------------------------------------

/// Uses up the stack; `depth` and the volatile keep compilers from making it a loop.
int Descend(int depth) {
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : Descend(depth - 1) + frame[0];
}

TEST(FiberStackDeathTest, OverflowHitsTheGuardPage) {
  if (kAsan || kTsan) GTEST_SKIP() << "sanitizers report the overflow in their own way";
  EXPECT_EXIT((void)RunStraight([](Execution& run) {
                auto* word = run.New<Atomic<int>>(0);
                run.Spawn("deep", [=] { word->Store(Descend(1 << 20), kRelaxed); });
              }),
              testing::KilledBySignal(SIGSEGV), "");
}

TEST(FiberStackTest, IsLargeEnoughForDeepCode) {
  ExpectClean([](Execution& run) {
    auto* word = run.New<Atomic<int>>(0);
    run.Spawn("deep", [=] { word->Store(Descend(100), kRelaxed); });
  });
}

}  // namespace
}  // namespace faultline
