// SPDX-License-Identifier: Apache-2.0
//
// How many complete schedules per second the explorer runs: on the scenario made for measuring it,
// two fibers of about 30 sync operations each, and on a fault beside munmap, a whole machine that
// is validated and taken apart at the end of each. Printed and recorded, never gated on: time on a
// shared machine is no verdict. The aims are 30,000 and 20,000 in a release build.

#include <chrono>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "core/base/build.h"
#include "core/explore/scenario.h"

namespace faultline {
namespace {

/// Searches the scenario until at least `at_least` schedules have been run in total, prints
/// schedules per second, and returns the number of schedules.
uint64_t Measure(const char* what, SearchOptions options, uint64_t at_least,
                 const char* scenario = "speed") {
  const SearchSubject subject = SubjectOf(*FindScenario(scenario), Mutant::kNone);
  uint64_t schedules = 0;
  uint64_t steps = 0;
  options.max_schedules = at_least;
  const auto begin = std::chrono::steady_clock::now();
  while (schedules < at_least) {
    const SearchResult result = Explore(subject, options);
    EXPECT_FALSE(result.finding.has_value());
    schedules += result.schedules;
    steps += result.steps;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const auto per_second = static_cast<uint64_t>(double(schedules) / seconds.count());
  std::cout << what << ": " << per_second << " schedules per second (" << schedules << " of "
            << steps / schedules << " steps each in " << seconds.count() << " s)\n";
  testing::Test::RecordProperty(what, std::to_string(per_second));
  return schedules;
}

constexpr uint64_t kSchedules = kAsan || kTsan ? 2'000 : 200'000;

TEST(ExplorerSpeedTest, IsPrintedForBoundTwo) {
  EXPECT_GE(Measure("bound 2, pruned", {.bound = 2}, kSchedules / 10), kSchedules / 10);
  EXPECT_GE(Measure("bound 2, unpruned", {.pruning = Pruning::kNone, .bound = 2}, kSchedules / 10),
            kSchedules / 10);
}

TEST(ExplorerSpeedTest, IsPrintedForALongRun) {
  EXPECT_GE(Measure("bound 6, pruned", {.bound = 6}, kSchedules), kSchedules);
  EXPECT_GE(Measure("random", {.strategy = Strategy::kPct}, kSchedules / 4), kSchedules / 4);
}

TEST(ExplorerSpeedTest, IsPrintedForFaultAgainstMunmap) {
  constexpr uint64_t kRuns = kSchedules / 4;
  EXPECT_GE(Measure("fault, cold", {.bound = 2}, kRuns, "fault_vs_munmap_cold"), kRuns);
  EXPECT_GE(Measure("fault, warm", {.bound = 2}, kRuns, "fault_vs_munmap_warm"), kRuns);
}

}  // namespace
}  // namespace faultline
