// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/workload/script.h and plan.h: what steps become, and what holds of every
// expansion: it repeats, stays in its regions, and does not depend on how operations ended.
//
// Page numbers in examples count from the beginning of the region.
#include "proto/workload/script.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/workload.pb.h"
#include "proto/workload/plan.h"
#include "proto/workload/validate.h"
#include "tests/proto/workload/workloads.h"

namespace faultline::workload {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Pages of "shared" that a round of Looping(steps) touches.
std::vector<uint64_t> PagesOf(const std::vector<Operation>& operations) {
  std::vector<uint64_t> pages;
  pages.reserve(operations.size());
  for (const Operation& op : operations) {
    pages.push_back((op.address - kRegionSpaceStart) / kPageBytes);
  }
  return pages;
}
std::vector<uint64_t> PagesOf(const std::string& steps, uint32_t thread = 0) {
  return PagesOf(RoundOf(Looping(steps), thread));
}

// -- Properties -----------------------------------------------------------------------------------

/// Operations of all parts, the loop twice, for one thread.
std::vector<Operation> LifeOf(const Plan& plan, uint32_t actor, uint32_t thread, uint64_t seed) {
  Script script(plan, {.seed = seed, .actor = actor, .thread = thread});
  std::vector<Operation> life;
  for (const auto part : {Script::Part::kMapForMm, Script::Part::kMapForThread,
                          Script::Part::kSetup, Script::Part::kLoop, Script::Part::kLoop}) {
    for (Operation& op : OperationsOf(script, part)) life.push_back(op);
  }
  return life;
}

RC_GTEST_PROP(ScriptPropertyTest, TheSameSeedGivesTheSameOperations, ()) {
  const v1::Workload workload = AnyWorkload();
  const auto problem = WhyBad(workload, kLimits);
  if (problem) RC_FAIL(problem->DebugString());
  const Plan plan(workload, kLimits.threads);
  const Plan again(workload, kLimits.threads);
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  for (uint32_t actor = 0; actor < 2; ++actor) {
    for (uint32_t thread = 0; thread < plan.actors()[actor].threads; ++thread) {
      RC_ASSERT(Texts(LifeOf(plan, actor, thread, seed)) ==
                Texts(LifeOf(again, actor, thread, seed)));
    }
  }
}

RC_GTEST_PROP(ScriptPropertyTest, EveryAddressIsInARegionOfTheThread, ()) {
  const v1::Workload workload = AnyWorkload();
  const Plan plan(workload, kLimits.threads);
  for (uint32_t actor = 0; actor < 2; ++actor) {
    for (uint32_t thread = 0; thread < plan.actors()[actor].threads; ++thread) {
      const std::vector<uint64_t> addresses = plan.RegionAddresses(actor, thread);
      for (const Operation& op : LifeOf(plan, actor, thread, 1)) {
        if (op.action != Action::kCall || op.base != Slot::kNone || op.result != Slot::kNone ||
            op.kind == v1::OPERATION_KIND_PAUSE || op.kind == v1::OPERATION_KIND_BRK) {
          continue;
        }
        bool inside = false;
        for (std::size_t i = 0; i < addresses.size(); ++i) {
          const uint64_t end = addresses[i] + plan.regions()[i].length;
          inside = inside || (op.address >= addresses[i] && op.address < end &&
                              op.length <= end - op.address);
        }
        RC_ASSERT(inside);
        RC_ASSERT(op.address % kPageBytes == 0U);
      }
    }
  }
}

RC_GTEST_PROP(ScriptPropertyTest, WhatIsRandomDoesNotDependOnWhetherForksSucceed, ()) {
  const v1::Workload workload = AnyWorkload();
  const Plan plan(workload, kLimits.threads);
  // Operations outside of children, which exist for one script and not for the other.
  const auto outside = [&plan](bool forks_succeed) {
    Script script(plan, {.seed = 9});
    std::vector<Operation> operations;
    int depth = 0;
    for (int round = 0; round < 2; ++round) {
      script.Begin(Script::Part::kLoop);
      // A fresh one each time: what an operation does not use would be left from the one before.
      for (Operation op; script.Next(op); op = {}) {
        if (op.action == Action::kChildEnd) {
          --depth;
        } else if (op.action == Action::kFork && !forks_succeed) {
          script.SkipChild();
        } else if (op.action == Action::kFork) {
          ++depth;
        } else if (depth == 0) {
          operations.push_back(op);
        }
      }
    }
    return Texts(operations);
  };
  RC_ASSERT(outside(true) == outside(false));
}

RC_GTEST_PROP(ScriptPropertyTest, ForksAndTheirEndsMatchAndStepsEnd, ()) {
  const v1::Workload workload = AnyWorkload();
  const Plan plan(workload, kLimits.threads);
  Script script(plan, {});
  int depth = 0;
  bool within_step = false;
  for (const Operation& op : OperationsOf(script, Script::Part::kLoop)) {
    if (op.action == Action::kFork) ++depth;
    if (op.action == Action::kChildEnd) --depth;
    RC_ASSERT(depth >= 0 && depth <= 4);
    if (op.action == Action::kFork || op.action == Action::kChildEnd) {
      RC_ASSERT(!within_step);
      continue;
    }
    within_step = !op.last_of_step;
  }
  RC_ASSERT(depth == 0 && !within_step);
}

RC_GTEST_PROP(PlanPropertyTest, OwnPartsCoverTheRegionExactly, ()) {
  const auto pages = *rc::gen::inRange<uint64_t>(1, 5000);
  const auto threads = *rc::gen::inRange<uint32_t>(1, 100);
  uint64_t next = 0;
  for (uint32_t thread = 0; thread < threads; ++thread) {
    const PagePart part = OwnPart(pages, thread, threads);
    RC_ASSERT(part.first == next);
    RC_ASSERT(part.pages == pages / threads || part.pages == pages / threads + 1);
    next += part.pages;
  }
  RC_ASSERT(next == pages);
}

RC_GTEST_PROP(PlanPropertyTest, RegionsOfAnMmAreFarApart, ()) {
  const v1::Workload workload = AnyWorkload();
  const Plan plan(workload, kLimits.threads);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  const auto add = [&](uint32_t actor, uint32_t thread, bool with_shared) {
    const std::vector<uint64_t> addresses = plan.RegionAddresses(actor, thread);
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      const PlannedRegion& region = plan.regions()[i];
      if (region.per_thread || with_shared) ranges.emplace_back(addresses[i], region.length);
    }
  };
  bool first = true;
  for (uint32_t actor = 0; actor < 2; ++actor) {
    for (uint32_t thread = 0; thread < plan.actors()[actor].threads; ++thread) {
      if (plan.actors()[actor].own_mm) continue;
      add(actor, thread, first);
      first = false;
    }
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    RC_ASSERT(ranges[i].first - ranges[i - 1].first >= ranges[i - 1].second + (2U << 20U));
  }
}

// -- Touches --------------------------------------------------------------------------------------

TEST(ScriptTouchTest, TakesAllPagesOfItsSpanInOrder) {
  EXPECT_THAT(PagesOf(R"(loop { touch { span { region: "shared" offset: 8192 length: 16384 } } })"),
              ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(PagesOf(R"(loop { touch { span { region: "shared" offset: 53248 } } })"),
              ElementsAre(13, 14, 15));
}

TEST(ScriptTouchTest, StridesAndBeginsAgainBehindTheEnd) {
  EXPECT_THAT(PagesOf(R"(loop { touch { span { region: "shared" } stride_pages: 5 } })"),
              ElementsAre(0, 5, 10, 15));
  EXPECT_THAT(PagesOf(R"(loop { touch { span { region: "shared" } stride_pages: 7 pages: 5 } })"),
              ElementsAre(0, 7, 14, 0, 7));
  EXPECT_THAT(
      PagesOf(R"(loop { touch { span { region: "shared" } stride_pages: 18446744073709551615 } })"),
      ElementsAre(0));
}

TEST(ScriptTouchTest, HasTheKindThatItSays) {
  const auto kind = [](const std::string& how) {
    return RoundOf(Looping("loop { touch { span { region: 'shared' } " + how + " } }"))[0].kind;
  };
  EXPECT_EQ(kind(""), v1::OPERATION_KIND_TOUCH_READ);
  EXPECT_EQ(kind("access: ACCESS_KIND_WRITE"), v1::OPERATION_KIND_TOUCH_WRITE);
  EXPECT_EQ(kind("access: ACCESS_KIND_EXEC"), v1::OPERATION_KIND_TOUCH_EXEC);
  EXPECT_EQ(kind("fault_always: true"), v1::OPERATION_KIND_FAULT_READ);
  EXPECT_EQ(kind("fault_always: true access: ACCESS_KIND_WRITE"), v1::OPERATION_KIND_FAULT_WRITE);
}

TEST(ScriptTouchTest, ResumesWhereItStopped) {
  const Plan plan(
      Looping(
          R"(loop { touch { span { region: "shared" length: 24576 } pages: 4 resume: true } })"),
      1);
  Script script(plan, {});
  EXPECT_THAT(PagesOf(OperationsOf(script, Script::Part::kLoop)), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(PagesOf(OperationsOf(script, Script::Part::kLoop)), ElementsAre(4, 5, 0, 1));
  EXPECT_THAT(PagesOf(OperationsOf(script, Script::Part::kLoop)), ElementsAre(2, 3, 4, 5));
}

TEST(ScriptTouchTest, ShufflesAnewEachTimeAndTakesEachPageOnce) {
  const Plan plan(
      Looping(R"(loop { touch { span { region: "shared" } order: PAGE_ORDER_SHUFFLED } })"), 1);
  Script script(plan, {.seed = 3});
  const std::vector<uint64_t> first = PagesOf(OperationsOf(script, Script::Part::kLoop));
  const std::vector<uint64_t> second = PagesOf(OperationsOf(script, Script::Part::kLoop));
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 16);
  EXPECT_EQ(std::set(second.begin(), second.end()).size(), 16);
  EXPECT_NE(first, second);
}

TEST(ScriptTouchTest, ResumesItsOwnShuffleBesideAnotherOne) {
  // The second round once went on in the order of the step before it, which is one of fewer pages.
  const Plan plan(Looping(R"(loop {
                    touch { span { region: "shared" length: 12288 } order: PAGE_ORDER_SHUFFLED }
                  }
                  loop {
                    touch {
                      span { region: "shared" } pages: 4 order: PAGE_ORDER_SHUFFLED resume: true
                    }
                  })"),
                  1);
  Script script(plan, {.seed = 3});
  for (int lap = 0; lap < 3; ++lap) {
    std::set<uint64_t> pages;
    for (int round = 0; round < 4; ++round) {
      const std::vector<uint64_t> touched = PagesOf(OperationsOf(script, Script::Part::kLoop));
      pages.insert(touched.begin() + 3, touched.end());
    }
    EXPECT_EQ(pages.size(), 16) << "lap " << lap;
  }
}

TEST(ScriptTouchTest, WhatIsLeftOutOfAStepDoesNotChangeTheNext) {
  for (const std::string order : {"RANDOM", "SHUFFLED", "SHUFFLED resume: true"}) {
    const Plan plan(
        Looping(R"(loop { touch { span { region: "shared" } pages: 7 order: PAGE_ORDER_)" + order +
                " } }"),
        1);
    const auto third_round = [&plan](bool skip) {
      Script script(plan, {.seed = 3});
      for (int round = 0; round < 2; ++round) {
        script.Begin(Script::Part::kLoop);
        for (Operation op; script.Next(op);) {
          if (skip) script.SkipStep();
        }
      }
      return PagesOf(OperationsOf(script, Script::Part::kLoop));
    };
    EXPECT_EQ(third_round(true), third_round(false)) << order;
  }
}

TEST(ScriptTouchTest, RandomPagesDifferBetweenThreadsAndSeeds) {
  const v1::Workload workload =
      Looping(R"(loop { touch { span { region: "shared" } order: PAGE_ORDER_RANDOM } })");
  const Plan plan(workload, 2);
  const auto pages = [&plan](uint64_t seed, uint32_t thread) {
    Script script(plan, {.seed = seed, .thread = thread});
    return PagesOf(OperationsOf(script, Script::Part::kLoop));
  };
  EXPECT_NE(pages(1, 0), pages(1, 1));
  EXPECT_NE(pages(1, 0), pages(2, 0));
}

TEST(ScriptTouchTest, AThreadsOwnPartIsItsShare) {
  const std::string steps = R"(loop { touch { span { region: "shared" own_part: true } } })";
  // 16 pages for 3 threads.
  EXPECT_THAT(PagesOf(steps, 0), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(PagesOf(steps, 1), ElementsAre(6, 7, 8, 9, 10));
  EXPECT_THAT(PagesOf(steps, 2), ElementsAre(11, 12, 13, 14, 15));
}

// -- Calls ----------------------------------------------------------------------------------------

constexpr uint64_t kShared = kRegionSpaceStart;

TEST(ScriptCallTest, ARegionIsMappedFixedWithDefaults) {
  const auto ops = RoundOf(Looping(R"(loop { map { span { region: "shared" length: 8192 } } })"));
  ASSERT_EQ(ops.size(), 1);
  EXPECT_EQ(ops[0].kind, v1::OPERATION_KIND_MMAP);
  EXPECT_EQ(ops[0].address, kShared);
  EXPECT_EQ(ops[0].length, 8192);
  EXPECT_THAT(ops[0].arguments(), ElementsAre(3, 0x32, UINT64_MAX, 0, 0));
}

TEST(ScriptCallTest, AFileIsMappedFromTheSpansOffset) {
  const auto ops = RoundOf(Looping(
      R"(loop { map { span { region: "shared" offset: 4096 } prot: 1 flags: 1 file: "own" } })"));
  EXPECT_THAT(ops[0].arguments(), ElementsAre(1, 0x11, 71, 0, 4096));
}

TEST(ScriptCallTest, WhatIsMappedSomewhereIsTouchedAndUnmappedOnce) {
  const auto ops = RoundOf(Looping(R"(
      loop { map { span { length: 8192 } inaccessible: true touch: ACCESS_KIND_READ } }
      loop { unmap {} }
      loop { unmap {} })"));
  ASSERT_EQ(ops.size(), 5);
  EXPECT_EQ(ops[0].result, Slot::kMapped);
  EXPECT_FALSE(ops[0].last_of_step);
  EXPECT_THAT(ops[0].arguments(), ElementsAre(0, 0x22, UINT64_MAX, 0, 0));
  EXPECT_EQ(ops[2].kind, v1::OPERATION_KIND_TOUCH_READ);
  EXPECT_EQ(ops[2].step, v1::Step::kMap);
  EXPECT_EQ(ops[2].base, Slot::kMapped);
  EXPECT_EQ(ops[2].address, 4096);
  EXPECT_TRUE(ops[2].last_of_step);
  EXPECT_EQ(ops[3].kind, v1::OPERATION_KIND_MUNMAP);
  EXPECT_EQ(ops[3].base, Slot::kMapped);
  EXPECT_EQ(ops[3].length, 8192);
  EXPECT_EQ(ops[4].action, Action::kNothing);
}

TEST(ScriptCallTest, OtherCallsHaveTheirArguments) {
  const auto ops = RoundOf(Looping(R"(
      loop { protect { span { region: "shared" } prot: 5 } }
      loop { advise { span { region: "shared" length: 4096 } advice: -1 } }
      loop { remap { span { region: "shared" length: 8192 } new_length: 4096 } }
      loop { remap { span { region: "shared" length: 8192 } target { region: "shared" offset: 16384 length: 8192 } } }
      loop { lock { span { region: "shared" } on_fault: true } }
      loop { lock { span { region: "shared" } unlock: true } }
      loop { pause { duration_ns: 77 } }
      loop { observe {} })"));
  ASSERT_EQ(ops.size(), 8);
  EXPECT_THAT(ops[0].arguments(), ElementsAre(5));
  EXPECT_THAT(ops[1].arguments(), ElementsAre(UINT64_MAX));
  EXPECT_THAT(ops[2].arguments(), ElementsAre(4096, 0, 0));
  EXPECT_THAT(ops[3].arguments(), ElementsAre(8192, 3, kShared + 16384));
  EXPECT_EQ(ops[4].kind, v1::OPERATION_KIND_MLOCK);
  EXPECT_THAT(ops[4].arguments(), ElementsAre(1));
  EXPECT_EQ(ops[5].kind, v1::OPERATION_KIND_MUNLOCK);
  EXPECT_EQ(ops[6].kind, v1::OPERATION_KIND_PAUSE);
  EXPECT_EQ(ops[6].length, 77);
  EXPECT_EQ(ops[7].action, Action::kObserve);
  EXPECT_EQ(ops[7].file, v1::OBSERVED_FILE_MAPS);
  EXPECT_EQ(ops[7].mode, v1::READ_MODE_WHOLE_LOCK);
}

TEST(ScriptCallTest, TheBreakIsAskedForBeforeItIsMoved) {
  const Plan plan(Looping("loop { brk { by: -4096 } }"), 1);
  Script script(plan, {});
  const auto setup = OperationsOf(script, Script::Part::kSetup);
  ASSERT_EQ(setup.size(), 1);
  EXPECT_EQ(setup[0].kind, v1::OPERATION_KIND_BRK);
  EXPECT_EQ(setup[0].base, Slot::kNone);
  EXPECT_EQ(setup[0].result, Slot::kBreak);
  const auto round = OperationsOf(script, Script::Part::kLoop);
  ASSERT_EQ(round.size(), 1);
  EXPECT_EQ(round[0].base, Slot::kBreak);
  EXPECT_EQ(round[0].address, -uint64_t{4096});
}

// -- Structure ------------------------------------------------------------------------------------

TEST(ScriptTest, RepeatsAreNested) {
  EXPECT_THAT(PagesOf(R"(
      loop { repeat { times: 2
        steps { touch { span { region: "shared" length: 4096 } } }
        steps { repeat { times: 2
          steps { touch { span { region: "shared" offset: 4096 length: 4096 } } } } } } }
      loop { touch { span { region: "shared" offset: 8192 length: 4096 } } })"),
              ElementsAre(0, 1, 1, 0, 1, 1, 2));
}

TEST(ScriptTest, AChildHasItsOwnMappingSomewhere) {
  const auto ops = RoundOf(Looping(R"(
      loop { map { span { length: 4096 } } }
      loop { fork { child { unmap {} } child { unmap {} } } }
      loop { unmap {} })"));
  ASSERT_EQ(ops.size(), 6);
  EXPECT_EQ(ops[1].action, Action::kFork);
  EXPECT_EQ(ops[2].kind, v1::OPERATION_KIND_MUNMAP);
  EXPECT_EQ(ops[3].action, Action::kNothing);
  EXPECT_EQ(ops[4].action, Action::kChildEnd);
  EXPECT_EQ(ops[5].action, Action::kCall) << "the parent's is still there";
  EXPECT_EQ(ops[5].kind, v1::OPERATION_KIND_MUNMAP);
}

TEST(ScriptTest, RegionsAreMappedByWhomTheyBelongTo) {
  const Plan plan(Parsed(R"(
      name: "test"
      regions { name: "a" length: 8192 populated: true }
      regions { name: "b" length: 4096 sharing: REGION_SHARING_THREAD inaccessible: true }
      regions { name: "c" length: 4096 unmapped: true }
      actors { name: "actor" loop { pause {} } })"),
                  2);
  Script script(plan, {.thread = 1});
  const auto shared = OperationsOf(script, Script::Part::kMapForMm);
  ASSERT_EQ(shared.size(), 3);
  EXPECT_EQ(shared[0].kind, v1::OPERATION_KIND_MMAP);
  EXPECT_EQ(shared[1].kind, v1::OPERATION_KIND_TOUCH_WRITE);
  EXPECT_EQ(shared[2].address, shared[1].address + 4096);
  const auto own = OperationsOf(script, Script::Part::kMapForThread);
  ASSERT_EQ(own.size(), 1);
  EXPECT_EQ(own[0].argument[0], 0);
  EXPECT_EQ(own[0].address, plan.RegionAddresses(0, 1)[1]);
  EXPECT_NE(own[0].address, plan.RegionAddresses(0, 0)[1]);
}

TEST(ScriptTest, APartThatIsLeftEarlyIsOver) {
  const Plan plan(Looping(R"(
      loop { fork { child { touch { span { region: "shared" } } } } })"),
                  1);
  Script script(plan, {});
  script.Begin(Script::Part::kLoop);
  Operation op;
  ASSERT_TRUE(script.Next(op));
  ASSERT_TRUE(script.Next(op));
  EXPECT_EQ(OperationsOf(script, Script::Part::kLoop).size(), 18);
  EXPECT_THAT(OperationsOf(script, Script::Part::kSetup), IsEmpty());
}

TEST(ScriptTest, EndlessRepeatsOfNothingGiveControlBack) {
  const Plan plan(Looping(R"(
      loop { repeat { times: 1000000000 steps { repeat { times: 1000000000 steps { unmap {} } } } } })"),
                  1);
  Script script(plan, {});
  script.Begin(Script::Part::kLoop);
  Operation op;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(script.Next(op));
    EXPECT_EQ(op.action, Action::kNothing);
  }
}

}  // namespace
}  // namespace faultline::workload
