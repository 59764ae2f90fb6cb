// SPDX-License-Identifier: Apache-2.0
//
// Every planted bug is found, in every scenario that claims to find it: by the depth-first search
// within 10,000 schedules at preemption bound 2, and by random schedules of a few seeds. What is
// reported has the right kind, can be read, and can be repeated.
//
// A clean result of the explorer means as much as this list is long: each mutant must be somebody's
// to find, which a test here checks, too.

#include <algorithm>
#include <array>
#include <cctype>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/explore/scenario.h"
#include "core/sync/modelled/report.h"

namespace faultline {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr uint64_t kMaxSchedules = 10'000;

/// A scenario and one of the mutants that it finds.
struct Planted {
  const Scenario* scenario;
  Mutant mutant;
};

std::ostream& operator<<(std::ostream& out, const Planted& planted) {
  return out << planted.scenario->name << " " << Name(planted.mutant);
}

std::vector<Planted> AllPlanted() {
  std::vector<Planted> all;
  for (const Scenario& scenario : AllScenarios()) {
    for (const Mutant mutant : scenario.finds) all.push_back({&scenario, mutant});
  }
  return all;
}

/// What the bug looks like when it strikes.
ViolationKind ExpectedKind(const Planted& planted) {
  switch (planted.mutant) {
    case Mutant::kRwSemLosesWakeup:
      return ViolationKind::kLostWakeup;
    case Mutant::kRwSemDowngradeLetsWriterIn:
    case Mutant::kSeqCountReaderForgetsRecheck:
      return ViolationKind::kInvariant;
    case Mutant::kFreeWithoutGracePeriod:
      return ViolationKind::kUseAfterFree;
    case Mutant::kSleepInRcuSection:
      return ViolationKind::kSleepInAtomic;
    case Mutant::kAbbaOrder:
      return planted.scenario->execution.lockdep ? ViolationKind::kLockOrder
                                                 : ViolationKind::kDeadlock;
    case Mutant::kStaleTypeStablePointer:
      return ViolationKind::kStaleReference;
    default:
      break;
  }
  ADD_FAILURE() << "this table misses mutant " << Name(planted.mutant);
  return ViolationKind::kStepLimit;
}

class PlantedBugTest : public testing::TestWithParam<Planted> {
 protected:
  [[nodiscard]] SearchSubject Subject() const {
    return SubjectOf(*GetParam().scenario, GetParam().mutant);
  }
  /// Searches depth first at bound 2, as `faultline-explore` does unless told otherwise.
  [[nodiscard]] SearchResult Search() const {
    return Explore(Subject(), {.max_schedules = kMaxSchedules});
  }
};

TEST_P(PlantedBugTest, IsFoundDepthFirst) {
  const SearchResult result = Search();
  ASSERT_TRUE(result.finding.has_value()) << "not within " << result.schedules << " schedules";
  EXPECT_EQ(Name(result.finding->violation.kind), Name(ExpectedKind(GetParam())))
      << result.finding->table;
  EXPECT_LE(result.finding->preemptions, 2u);
  EXPECT_EQ(result.finding->schedule, result.schedules);
  RecordProperty("schedules", std::to_string(result.schedules));
}

TEST_P(PlantedBugTest, IsFoundWithoutPruning) {
  const SearchResult result =
      Explore(Subject(), {.pruning = Pruning::kNone, .max_schedules = kMaxSchedules});
  ASSERT_TRUE(result.finding.has_value()) << "not within " << result.schedules << " schedules";
  EXPECT_EQ(Name(result.finding->violation.kind), Name(ExpectedKind(GetParam())));
}

TEST_P(PlantedBugTest, IsFoundByRandomSchedules) {
  for (const uint64_t seed : {1, 2, 3}) {
    const SearchResult result = Explore(
        Subject(), {.strategy = Strategy::kPct, .seed = seed, .max_schedules = kMaxSchedules});
    std::cout << GetParam() << ": seed " << seed << ", " << result.schedules << " schedules\n";
    ASSERT_TRUE(result.finding.has_value()) << "seed " << seed;
    EXPECT_EQ(Name(result.finding->violation.kind), Name(ExpectedKind(GetParam())))
        << "seed " << seed << "\n"
        << result.finding->table;
  }
}

TEST_P(PlantedBugTest, IsRepeatedByItsReplayString100TimesOutOf100) {
  const SearchResult result = Search();
  ASSERT_TRUE(result.finding.has_value());
  const Finding& finding = *result.finding;
  const auto decoded = DecodeReplay(finding.replay);
  ASSERT_TRUE(std::holds_alternative<Replay>(decoded)) << std::get<std::string>(decoded);
  const Replay& replay = std::get<Replay>(decoded);
  EXPECT_EQ(replay.identity.scenario, GetParam().scenario->name);
  EXPECT_EQ(replay.identity.mutant, Name(GetParam().mutant));

  // Half of them each in a new execution, half in one.
  std::vector<ReplayResult> repeated;
  repeated.reserve(51);
  for (int i = 0; i < 50; ++i) repeated.push_back(ReplayRun(Subject(), replay.choices));
  repeated.push_back(ReplayRun(Subject(), replay.choices, 50));
  for (const ReplayResult& again : repeated) {
    ASSERT_EQ(again.divergence, "");
    ASSERT_TRUE(again.violation.has_value());
    ASSERT_EQ(again.violation->kind, finding.violation.kind);
    ASSERT_EQ(again.violation->message, finding.violation.message);
    ASSERT_EQ(again.table, finding.table);
  }
}

TEST_P(PlantedBugTest, IsToldStepByStepWithSourceLines) {
  const SearchResult result = Search();
  ASSERT_TRUE(result.finding.has_value());
  const std::string& table = result.finding->table;
  const Replay replay = std::get<Replay>(DecodeReplay(result.finding->replay));
  EXPECT_THAT(table, testing::StartsWith(" step  task"));
  EXPECT_THAT(table, HasSubstr(std::string(Name(result.finding->violation.kind)) + ": "));
  EXPECT_THAT(table, HasSubstr(result.finding->violation.message));
  ASSERT_FALSE(replay.choices.empty());
  const std::string last_step = "\n *" + std::to_string(replay.choices.size()) + "  [0-9]+ [a-z]+";
  EXPECT_THAT(table, ContainsRegex("\n    1  [0-9]+ [a-z]+"));
  EXPECT_THAT(table, ContainsRegex(last_step));
  for (const ReplayChoice& choice : replay.choices) {
    EXPECT_THAT(table, HasSubstr(" " + std::string(Name(choice.kind)) + " "));
  }
  EXPECT_THAT(table, ContainsRegex("core/[a-z_/]+[.](cc|h):[0-9]+\n"));
}

INSTANTIATE_TEST_SUITE_P(Mutants, PlantedBugTest, testing::ValuesIn(AllPlanted()),
                         [](const auto& test) {
                           return test.param.scenario->name + "_" +
                                  std::string(Name(test.param.mutant));
                         });

TEST(MutantsTest, EachIsFoundBySomeScenario) {
  for (const Mutant mutant : AllMutants()) {
    const auto finds = [mutant](const Planted& planted) { return planted.mutant == mutant; };
    const std::vector<Planted> all = AllPlanted();
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), finds)) << Name(mutant);
  }
}

TEST(MutantsTest, AreOffAgainAfterASearchAndAReplay) {
  const Planted planted = AllPlanted().front();
  const SearchSubject subject = SubjectOf(*planted.scenario, planted.mutant);
  const SearchResult result = Explore(subject, {.max_schedules = kMaxSchedules});
  EXPECT_FALSE(MutantOn(planted.mutant));
  ASSERT_TRUE(result.finding.has_value());
  const auto replay = DecodeReplay(result.finding->replay);
  EXPECT_TRUE(ReplayRun(subject, std::get<Replay>(replay).choices).violation.has_value());
  EXPECT_FALSE(MutantOn(planted.mutant));
}

}  // namespace
}  // namespace faultline
