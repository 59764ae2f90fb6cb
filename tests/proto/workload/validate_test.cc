// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/workload/validate.h: every rule of workload.proto, broken once, with the path that
// the error names, and its value where it is of interest.
//
// Each case is the smallest change to a good workload. The table is the test: a line per rule.
#include "proto/workload/validate.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/error.pb.h"
#include "faultline/v1/workload.pb.h"
#include "tests/proto/workload/workloads.h"

namespace faultline::workload {
namespace {

constexpr uint64_t kTiB = uint64_t{1} << 40;

/// A good workload, to be broken.
v1::Workload Good() {
  return Looping(R"(setup { pause {} } loop { touch { span { region: "shared" } } })");
}

/// "reason field value" of the problem of a workload, or "".
std::string ProblemOf(const v1::Workload& workload) {
  const auto problem = WhyBad(workload, kLimits);
  if (!problem) return "";
  EXPECT_FALSE(problem->allowed().empty());
  std::string reason = v1::ErrorReason_Name(problem->reason());
  reason.erase(0, std::string("ERROR_REASON_").size());
  return reason + " " + problem->field() + " = " + problem->value();
}

std::string Broken(const std::function<void(v1::Workload&)>& change) {
  v1::Workload workload = Good();
  change(workload);
  return ProblemOf(workload);
}

/// The problem of a workload whose loop is that.
std::string LoopProblem(const std::string& steps) { return ProblemOf(Looping(steps)); }

TEST(ValidateWorkloadTest, AGoodOneHasNoProblem) {
  EXPECT_EQ(ProblemOf(Good()), "");
  EXPECT_EQ(LoopProblem(R"(
      loop { map { span { length: 4096 } touch: ACCESS_KIND_WRITE file: "own" } }
      loop { unmap {} }
      loop { unmap { span { region: "room" } } }
      loop { remap { span { region: "room" offset: 4096 length: 8192 } new_length: 61440 } }
      loop { remap { span { region: "room" length: 8192 } target { region: "shared" offset: 57344 } } }
      loop { brk { by: -9223372036854775808 } }
      loop { fork {} }
      loop { observe {} }
      loop { repeat { times: 1 steps { repeat { times: 1 steps { repeat { times: 1
        steps { repeat { times: 1000000000 steps { pause {} } } } } } } } } })"),
            "");
}

TEST(ValidateWorkloadTest, NameAndDescription) {
  const auto named = [](const std::string& name) {
    return Broken([&](auto& workload) { workload.set_name(name); });
  };
  EXPECT_EQ(named(""), "OUT_OF_RANGE workload.name = ");
  EXPECT_EQ(named("Big"), "OUT_OF_RANGE workload.name = Big");
  EXPECT_EQ(named("a-b"), "OUT_OF_RANGE workload.name = a-b");
  EXPECT_EQ(named(std::string(63, 'a')), "");
  EXPECT_EQ(named(std::string(64, 'a')), "OUT_OF_RANGE workload.name = " + std::string(64, 'a'));
  EXPECT_EQ(Broken([](auto& workload) { workload.set_description(std::string(1001, 'x')); }),
            "OUT_OF_RANGE workload.description = " + std::string(256, 'x'));
}

TEST(ValidateWorkloadTest, Files) {
  EXPECT_EQ(Broken([](auto& workload) { workload.mutable_files(1)->set_name(""); }),
            "OUT_OF_RANGE workload.files[1].name = ");
  EXPECT_EQ(Broken([](auto& workload) { workload.mutable_files(1)->set_name("all"); }),
            "OUT_OF_RANGE workload.files[1].name = all");
  EXPECT_EQ(Broken([](auto& workload) { workload.mutable_files(0)->set_size(uint64_t{1} << 63); }),
            "OUT_OF_RANGE workload.files[0].size = 9223372036854775808");
  EXPECT_EQ(Broken([](auto& workload) {
              for (int i = 0; i < 999; ++i) workload.add_files()->set_name(std::to_string(i));
            }),
            "OUT_OF_RANGE workload.files = 1001 elements");
}

std::string BrokenRegion(const std::function<void(v1::Region&)>& change) {
  return Broken([&](v1::Workload& workload) { change(*workload.mutable_regions(0)); });
}

TEST(ValidateWorkloadTest, Regions) {
  EXPECT_EQ(BrokenRegion([](auto& region) { region.set_name(""); }),
            "OUT_OF_RANGE workload.regions[0].name = ");
  EXPECT_EQ(BrokenRegion([](auto& region) { region.set_name("room"); }),
            "OUT_OF_RANGE workload.regions[1].name = room");
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{1}, uint64_t{4097}, kTiB + 4096, UINT64_MAX - 4095}) {
    EXPECT_EQ(BrokenRegion([&](auto& region) { region.set_length(length); }),
              "OUT_OF_RANGE workload.regions[0].length = " + std::to_string(length));
  }
  EXPECT_EQ(BrokenRegion([](auto& region) { region.set_length(kTiB); }), "");
  EXPECT_EQ(BrokenRegion([](auto& region) { region.set_file("none"); }),
            "OUT_OF_RANGE workload.regions[0].file = none");
  EXPECT_EQ(BrokenRegion([](auto& region) { region.set_file("own"); }),
            "OUT_OF_RANGE workload.regions[0].file = own");
  EXPECT_EQ(
      BrokenRegion([](auto& region) { region.set_sharing(static_cast<v1::RegionSharing>(7)); }),
      "UNKNOWN_ENUM_VALUE workload.regions[0].sharing = 7");
  EXPECT_EQ(BrokenRegion([](auto& region) {
              region.set_populated(true);
              region.set_prot(1);
            }),
            "OUT_OF_RANGE workload.regions[0].populated = true");
  EXPECT_EQ(BrokenRegion([](auto& region) {
              region.set_populated(true);
              region.set_unmapped(true);
            }),
            "OUT_OF_RANGE workload.regions[0].populated = true");
}

TEST(ValidateWorkloadTest, RegionsOfAnMmFitIntoItsAddresses) {
  EXPECT_EQ(Broken([](auto& workload) {
              v1::Region& region = *workload.mutable_regions(1);  // one for each of 64 threads
              region.set_length(kTiB / 2);
              workload.mutable_actors(0)->set_threads(64);
            }),
            "OUT_OF_RANGE workload.regions[1].length = " + std::to_string(kTiB / 2));
  EXPECT_EQ(Broken([](auto& workload) {
              v1::Region& region = *workload.mutable_regions(1);
              region.set_length(kTiB / 2);
              workload.mutable_actors(0)->set_threads(64);
              workload.mutable_actors(0)->set_own_mm(true);
            }),
            "");
}

TEST(ValidateWorkloadTest, Actors) {
  EXPECT_EQ(Broken([](auto& workload) { workload.clear_actors(); }),
            "OUT_OF_RANGE workload.actors = 0 elements");
  EXPECT_EQ(Broken([](auto& workload) { workload.mutable_actors(0)->set_name(""); }),
            "OUT_OF_RANGE workload.actors[0].name = ");
  EXPECT_EQ(Broken([](auto& workload) { workload.mutable_actors(0)->set_threads(65); }),
            "OUT_OF_RANGE workload.actors[0].threads = 65");
  EXPECT_EQ(Broken([](auto& workload) {
              workload.mutable_actors(0)->set_threads(62);
              *workload.add_actors() = workload.actors(0);
              workload.mutable_actors(1)->set_name("second");
              workload.mutable_actors(1)->set_threads(0);  // 3
            }),
            "OUT_OF_RANGE workload.actors[1].threads = 3");
  EXPECT_EQ(Broken([](auto& workload) {
              workload.mutable_actors(0)->clear_loop();
              workload.mutable_actors(0)->clear_setup();
            }),
            "OUT_OF_RANGE workload.actors[0].loop = 0 elements");
  for (const uint64_t interval : {uint64_t{0}, uint64_t{999}, uint64_t{1'000'000'000'001}}) {
    EXPECT_EQ(Broken([&](auto& workload) {
                workload.mutable_actors(0)->mutable_pace()->set_interval_ns(interval);
              }),
              "OUT_OF_RANGE workload.actors[0].pace.interval_ns = " + std::to_string(interval));
  }
}

TEST(ValidateWorkloadTest, StepsAreLimitedWithNestedOnes) {
  EXPECT_EQ(Broken([](auto& workload) {
              v1::RepeatStep& repeat = *workload.mutable_actors(0)->add_loop()->mutable_repeat();
              repeat.set_times(1);
              for (int i = 0; i < 9'998; ++i) repeat.add_steps()->mutable_pause();
            }),
            "OUT_OF_RANGE workload.actors[0].loop[1].repeat.steps = 9998 elements");
}

TEST(ValidateWorkloadTest, AStepIsOneOfThem) {
  EXPECT_EQ(LoopProblem("loop {}"), "MISSING_FIELD workload.actors[0].loop[0].step = ");
}

TEST(ValidateWorkloadTest, Spans) {
  const auto touch = [](const std::string& span) {
    return LoopProblem("loop { touch { span { " + span + " } } }");
  };
  const std::string path = " workload.actors[0].loop[0].touch.span.";
  EXPECT_EQ(touch(""), "OUT_OF_RANGE" + path + "region = ");
  EXPECT_EQ(touch("region: 'none'"), "OUT_OF_RANGE" + path + "region = none");
  EXPECT_EQ(touch("region: 'shared' offset: 1"), "OUT_OF_RANGE" + path + "offset = 1");
  EXPECT_EQ(touch("region: 'shared' offset: 65536"), "OUT_OF_RANGE" + path + "offset = 65536");
  EXPECT_EQ(touch("region: 'shared' length: 100"), "OUT_OF_RANGE" + path + "length = 100");
  EXPECT_EQ(touch("region: 'shared' offset: 4096 length: 65536"),
            "OUT_OF_RANGE" + path + "length = 65536");
  EXPECT_EQ(touch("region: 'shared' offset: 4096 length: 18446744073709547520"),
            "OUT_OF_RANGE" + path + "length = 18446744073709547520");
  // The smallest of three parts of 16 pages has 5.
  EXPECT_EQ(touch("region: 'shared' own_part: true length: 20480"), "");
  EXPECT_EQ(touch("region: 'shared' own_part: true length: 24576"),
            "OUT_OF_RANGE" + path + "length = 24576");
  EXPECT_EQ(touch("region: 'shared' own_part: true offset: 20480"),
            "OUT_OF_RANGE" + path + "offset = 20480");
  EXPECT_EQ(LoopProblem("threads: 17 loop { touch { span { region: 'shared' own_part: true } } }"),
            "OUT_OF_RANGE" + path + "own_part = true");
}

TEST(ValidateWorkloadTest, EverySpanOfAStepIsLookedAt) {
  const std::string bad = "{ span { region: 'none' } } }";
  for (const std::string step : {"map", "unmap", "protect", "advise", "remap", "lock"}) {
    EXPECT_EQ(
        LoopProblem(absl::StrCat("loop { ", step, bad)),
        absl::StrCat("OUT_OF_RANGE workload.actors[0].loop[0].", step, ".span.region = none"));
  }
  EXPECT_EQ(LoopProblem("loop { remap { span { region: 'shared' } target { region: 'none' } } }"),
            "OUT_OF_RANGE workload.actors[0].loop[0].remap.target.region = none");
}

TEST(ValidateWorkloadTest, Touches) {
  const auto touch = [](const std::string& how) {
    return LoopProblem("loop { touch { span { region: 'shared' } " + how + " } }");
  };
  const std::string path = " workload.actors[0].loop[0].touch.";
  EXPECT_EQ(touch("order: PAGE_ORDER_RANDOM resume: true"),
            "OUT_OF_RANGE" + path + "resume = true");
  EXPECT_EQ(touch("order: PAGE_ORDER_SHUFFLED resume: true"),
            "OUT_OF_RANGE" + path + "resume = true");
  const auto number = [](const std::function<void(v1::TouchStep&)>& change) {
    return Broken([&](v1::Workload& workload) {
      change(*workload.mutable_actors(0)->mutable_loop(0)->mutable_touch());
    });
  };
  EXPECT_EQ(number([](auto& each) { each.set_access(static_cast<v1::AccessKind>(4)); }),
            "UNKNOWN_ENUM_VALUE" + path + "access = 4");
  EXPECT_EQ(number([](auto& each) { each.set_order(static_cast<v1::PageOrder>(-1)); }),
            "UNKNOWN_ENUM_VALUE" + path + "order = -1");
}

TEST(ValidateWorkloadTest, MapsAndRemaps) {
  const std::string path = "OUT_OF_RANGE workload.actors[0].loop[0].";
  EXPECT_EQ(LoopProblem("loop { map {} }"), path + "map.span.length = 0");
  EXPECT_EQ(LoopProblem("loop { map { span { length: 18446744073709547520 } } }"),
            path + "map.span.length = 18446744073709547520");
  EXPECT_EQ(LoopProblem("loop { map { span { length: 4096 } file: 'none' } }"),
            path + "map.file = none");
  EXPECT_EQ(LoopProblem("loop { remap { span { region: 'shared' } } }"),
            path + "remap.new_length = 0");
  EXPECT_EQ(LoopProblem("loop { remap { span { region: 'shared' } new_length: 69632 } }"),
            path + "remap.new_length = 69632");
  EXPECT_EQ(LoopProblem("loop { remap { span { region: 'shared' length: 8192 } "
                        "target { region: 'room' length: 4096 } } }"),
            path + "remap.target.length = 4096");
  EXPECT_EQ(LoopProblem("loop { remap { span { region: 'shared' length: 8192 } "
                        "target { region: 'room' offset: 61440 } } }"),
            path + "remap.target.length = 0");
}

TEST(ValidateWorkloadTest, RepeatsForksObserversAndPauses) {
  const std::string path = "OUT_OF_RANGE workload.actors[0].loop[0].";
  EXPECT_EQ(LoopProblem("loop { repeat { steps { pause {} } } }"), path + "repeat.times = 0");
  EXPECT_EQ(LoopProblem("loop { repeat { times: 1000000001 steps { pause {} } } }"),
            path + "repeat.times = 1000000001");
  EXPECT_EQ(LoopProblem("loop { repeat { times: 1 } }"), path + "repeat.steps = 0 elements");
  EXPECT_EQ(LoopProblem("loop { fork { child { fork { child { fork { child { fork { child { fork {"
                        " } } } } } } } } } }"),
            path + "fork.child[0].fork.child[0].fork.child[0].fork.child[0].fork = 5 deep");
  EXPECT_EQ(LoopProblem("own_mm: true loop { observe {} }"), path + "observe = ");
  EXPECT_EQ(LoopProblem("loop { pause { duration_ns: 1000000000001 } }"),
            path + "pause.duration_ns = 1000000000001");
}

TEST(ValidateWorkloadTest, ThePathBeginsWhereItIsTold) {
  v1::Workload workload = Good();
  workload.clear_name();
  EXPECT_EQ(WhyBad(workload, kLimits, "experiment.workload")->field(), "experiment.workload.name");
}

}  // namespace
}  // namespace faultline::workload
