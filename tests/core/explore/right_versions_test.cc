// SPDX-License-Identifier: Apache-2.0
//
// Every scenario without a mutant is clean. Those of sync and vma: exhaustively at preemption bound
// 2, with and without pruning; both searches reach the same final states at every bound that can be
// tried in a moment. Those of faults: under every scheme with its default policies at bound 1,
// those of two tasks exhaustively; the rest, deeper, and with other policies, is what campaigns are
// for.

#include <algorithm>
#include <iostream>
#include <set>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/explore/scenario.h"

namespace faultline {
namespace {

std::vector<std::string> ScenarioNames() {
  std::vector<std::string> names;
  for (const Scenario& scenario : AllScenarios()) {
    if (!scenario.takes_fault_options()) names.push_back(scenario.name);
  }
  return names;
}

class RightVersionTest : public testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] SearchSubject Subject() const {
    const Scenario* scenario = FindScenario(GetParam());
    return SubjectOf(*scenario, Mutant::kNone);
  }
  [[nodiscard]] SearchResult Search(Pruning pruning, uint32_t bound, uint64_t max_schedules) const {
    SearchResult result = Explore(Subject(), {.pruning = pruning,
                                              .bound = bound,
                                              .max_schedules = max_schedules,
                                              .collect_digests = true});
    if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
    return result;
  }
};

TEST_P(RightVersionTest, IsCleanAtBoundTwo) {
  const SearchResult result = Search(Pruning::kBpor, 2, 10'000'000);
  EXPECT_TRUE(result.complete);
  EXPECT_GT(result.schedules, 1u);
  std::cout << GetParam() << ": " << result.Summary({.bound = 2}) << ", " << result.steps
            << " steps, longest schedule " << result.longest << "\n";
  RecordProperty("schedules", std::to_string(result.schedules));
}

TEST_P(RightVersionTest, HasTheSameFinalStatesPrunedAndUnpruned) {
  for (uint32_t bound = 0; bound <= 3; ++bound) {
    // At bound 3 only what the unpruned search can do in about a second.
    const uint64_t budget = bound <= 2 ? 10'000'000 : 50'000;
    const SearchResult all = Search(Pruning::kNone, bound, budget);
    if (bound <= 2) {
      ASSERT_TRUE(all.complete) << "bound " << bound;
    }
    if (!all.complete) break;
    const SearchResult pruned = Search(Pruning::kBpor, bound, budget);
    EXPECT_TRUE(pruned.complete) << "bound " << bound;
    EXPECT_EQ(pruned.digests, all.digests) << "bound " << bound;
    EXPECT_LE(pruned.schedules, all.schedules) << "bound " << bound;
    std::cout << GetParam() << ", bound " << bound << ": " << all.digests.size()
              << " final states, " << pruned.schedules << " of " << all.schedules << " schedules\n";
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, RightVersionTest, testing::ValuesIn(ScenarioNames()),
                         [](const auto& test) { return test.param; });

// -- Faults ---------------------------------------------------------------------------------------

std::vector<Configuration> FaultConfigurations() {
  std::vector<Configuration> all;
  for (const Scenario& scenario : AllScenarios()) {
    if (!scenario.takes_fault_options()) continue;
    for (const FaultOptions& options : DefaultConfigurations(scenario)) {
      all.push_back({&scenario, options});
    }
  }
  return all;
}

class RightFaultTest : public testing::TestWithParam<Configuration> {
 protected:
  // Builds for finding other faults than these are far too slow to finish.
#ifdef __OPTIMIZE__
  static constexpr bool kIsFast = !kAsan && !kTsan;
#else
  static constexpr bool kIsFast = false;
#endif

  [[nodiscard]] static bool IsPair() { return GetParam().scenario->tasks == 2; }
  [[nodiscard]] SearchResult Search(Pruning pruning, uint64_t max_schedules) const {
    const auto& [scenario, options] = GetParam();
    SearchResult result = Explore(
        SubjectOf(*scenario, Mutant::kNone, options),
        {.pruning = pruning, .bound = 1, .max_schedules = max_schedules, .collect_digests = true});
    if (result.finding.has_value()) {
      ADD_FAILURE() << result.finding->table << "\n" << result.finding->replay;
    }
    return result;
  }
};

TEST_P(RightFaultTest, IsCleanAtBoundOne) {
  const SearchResult result = Search(Pruning::kBpor, !kIsFast ? 200 : IsPair() ? 100'000 : 3'000);
  EXPECT_TRUE(result.complete || !kIsFast || !IsPair());
  EXPECT_GT(result.schedules, 1u);
  RecordProperty("schedules", std::to_string(result.schedules));
}

TEST_P(RightFaultTest, HasTheSameFinalStatesPrunedAndUnpruned) {
  constexpr uint64_t kMoment = 5'000;
  if (!kIsFast || !IsPair()) GTEST_SKIP() << "too many schedules without pruning";
  const SearchResult all = Search(Pruning::kNone, kMoment);
  if (!all.complete) GTEST_SKIP() << "too many schedules without pruning";
  EXPECT_EQ(Search(Pruning::kBpor, kMoment).digests, all.digests);
}

INSTANTIATE_TEST_SUITE_P(Scenarios, RightFaultTest, testing::ValuesIn(FaultConfigurations()),
                         [](const auto& test) {
                           return test.param.scenario->name + "_" +
                                  std::string(Name(test.param.options.scheme));
                         });

// -- The list -------------------------------------------------------------------------------------

TEST(ScenarioTest, NamesAreDistinctSnakeCaseAndLeadBack) {
  std::set<std::string> names;
  for (const Scenario& scenario : AllScenarios()) {
    EXPECT_TRUE(names.insert(scenario.name).second) << scenario.name;
    EXPECT_EQ(scenario.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string::npos)
        << scenario.name;
    EXPECT_FALSE(scenario.description.empty()) << scenario.name;
    EXPECT_EQ(FindScenario(scenario.name), &scenario);
  }
  EXPECT_EQ(FindScenario("no_such_scenario"), nullptr);
}

}  // namespace
}  // namespace faultline
