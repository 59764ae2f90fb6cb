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
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/explore/campaign.h"
#include "core/explore/fault_expectations.h"
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

// Builds for finding other faults than these are far too slow to finish.
#ifdef __OPTIMIZE__
constexpr bool kIsFast = !kAsan && !kTsan;
#else
constexpr bool kIsFast = false;
#endif

std::vector<std::string> FaultScenarioNames(size_t most_tasks) {
  std::vector<std::string> names;
  for (const Scenario& scenario : AllScenarios()) {
    if (scenario.takes_fault_options() && scenario.tasks <= most_tasks) {
      names.push_back(scenario.name);
    }
  }
  return names;
}

/// A scenario under every scheme, with its default policies.
class RightFaultTest : public testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] static const Scenario& GetScenario() { return *FindScenario(GetParam()); }
  [[nodiscard]] static SearchResult Search(const FaultOptions& options, Pruning pruning,
                                           uint64_t max_schedules) {
    SearchResult result = Explore(
        SubjectOf(GetScenario(), Mutant::kNone, options),
        {.pruning = pruning, .bound = 1, .max_schedules = max_schedules, .collect_digests = true});
    if (result.finding.has_value()) {
      ADD_FAILURE() << result.finding->table << "\n" << result.finding->replay;
    }
    return result;
  }
};

TEST_P(RightFaultTest, IsCleanAtBoundOneUnderEveryScheme) {
  const bool to_the_end = kIsFast && GetScenario().tasks == 2;
  const uint64_t most = to_the_end ? 100'000 : kIsFast ? 3'000 : 200;
  uint64_t schedules = 0;
  for (const FaultOptions& options : DefaultConfigurations(GetScenario())) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, Name(options.scheme));
    const SearchResult result = Search(options, Pruning::kBpor, most);
    EXPECT_TRUE(result.complete || !to_the_end);
    EXPECT_GT(result.schedules, 1u);
    schedules += result.schedules;
  }
  RecordProperty("schedules", std::to_string(schedules));
}

INSTANTIATE_TEST_SUITE_P(Scenarios, RightFaultTest, testing::ValuesIn(FaultScenarioNames(99)),
                         [](const auto& test) { return test.param; });

/// The same with a search that leaves nothing out, as far as one ends in a moment.
class PrunedFaultTest : public RightFaultTest {};

TEST_P(PrunedFaultTest, HasTheSameFinalStatesPrunedAndUnpruned) {
  constexpr uint64_t kMoment = kIsFast ? 5'000 : 50;
  int compared = 0;
  for (const FaultOptions& options : DefaultConfigurations(GetScenario())) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, Name(options.scheme));
    const SearchResult all = Search(options, Pruning::kNone, kMoment);
    if (!all.complete) continue;
    EXPECT_EQ(Search(options, Pruning::kBpor, kMoment).digests, all.digests);
    ++compared;
  }
  if (compared == 0) GTEST_SKIP() << "too many schedules without pruning, under every scheme";
}

INSTANTIATE_TEST_SUITE_P(Scenarios, PrunedFaultTest, testing::ValuesIn(FaultScenarioNames(2)),
                         [](const auto& test) { return test.param; });

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

TEST(ScenarioTest, ExpectationsAreAboutScenariosThatTakeASchemeAndMutantsOnlyOnceEach) {
  for (const std::string_view name : ScenariosWithExpectations()) {
    const Scenario* const scenario = FindScenario(name);
    ASSERT_NE(scenario, nullptr) << name;
    EXPECT_TRUE(scenario->takes_fault_options()) << name;
    std::set<Mutant> mutants;
    for (const Expectation& expectation : scenario->finds) {
      EXPECT_TRUE(mutants.insert(expectation.mutant).second) << name;
      EXPECT_FALSE(expectation.configurations.empty()) << name;
    }
  }
}

TEST(ScenarioTest, ConfigurationsSurviveTheReplayString) {
  const Scenario& scenario = *FindScenario("fault_vs_fork");
  for (const FaultOptions& options : AllowedOptions()) {
    const RunIdentity identity = SubjectOf(scenario, Mutant::kNone, options).identity;
    const auto replay = DecodeReplay(EncodeReplay({identity, {}}));
    ASSERT_TRUE(std::holds_alternative<Replay>(replay)) << identity.policies;
    EXPECT_EQ(std::get<Replay>(replay).identity, identity);
    const auto recorded = RecordedOptions(scenario, identity);
    ASSERT_TRUE(std::holds_alternative<FaultOptions>(recorded)) << std::get<std::string>(recorded);
    EXPECT_EQ(std::get<FaultOptions>(recorded), options);
  }
}

TEST(ScenarioTest, RecordedConfigurationsThatThereAreNotAreRefused) {
  const auto refusal = [](const char* scenario, const char* scheme, const char* policies) {
    const auto options = RecordedOptions(
        *FindScenario(scenario), {.scenario = scenario, .scheme = scheme, .policies = policies});
    const auto* const why = std::get_if<std::string>(&options);
    return why == nullptr ? std::string() : *why;
  };
  const char* const usual = "eager,at_set_pte,deferred,still_valid";
  EXPECT_EQ(refusal("fault_vs_fork", "vma_lock", usual), "");
  EXPECT_THAT(refusal("fault_vs_fork", "vma_look", usual),
              testing::HasSubstr("allowed: mmap_lock"));
  EXPECT_THAT(refusal("fault_vs_fork", "none", "none"), testing::HasSubstr("no scheme 'none'"));
  EXPECT_THAT(refusal("fault_vs_fork", "rcu_restart", usual), testing::HasSubstr("eager sleeps"));
  EXPECT_THAT(refusal("fault_vs_fork", "vma_lock", "at_set_pte,eager,deferred,still_valid"),
              testing::HasSubstr(usual));
  EXPECT_THAT(refusal("rwsem", "vma_lock", usual), testing::HasSubstr("takes no scheme"));
  EXPECT_EQ(refusal("rwsem", "none", "none"), "");
}

}  // namespace
}  // namespace faultline
