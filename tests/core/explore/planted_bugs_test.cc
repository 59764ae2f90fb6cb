// SPDX-License-Identifier: Apache-2.0
//
// Every planted bug is found, in every scenario and configuration that claims to find it: by the
// depth-first search within 10,000 schedules at preemption bound 2 and, in the scenarios of sync
// and vma, by random schedules of a few seeds. What is reported has the right kind, can be read,
// and can be repeated.
//
// A clean result of the explorer means as much as this list is long: each mutant that has code must
// be somebody's to find, which a test here checks, too.

#include <algorithm>
#include <array>
#include <cctype>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include <absl/strings/str_format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/explore/fault_expectations.h"
#include "core/explore/scenario.h"
#include "core/sync/modelled/report.h"

namespace faultline {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr uint64_t kMaxSchedules = 10'000;

/// A scenario in a configuration, and one of the mutants that it finds there.
struct Planted {
  Configuration configuration;
  Mutant mutant;

  [[nodiscard]] const Scenario& scenario() const { return *configuration.scenario; }
};

std::string TestNameOf(const Planted& planted) {
  std::string name = absl::StrFormat("%s_%s", planted.scenario().name, Name(planted.mutant));
  if (!planted.scenario().takes_fault_options()) return name;
  const FaultOptions& options = planted.configuration.options;
  absl::StrAppendFormat(&name, "_%s", Name(options.scheme));
  if (options != DefaultsOf(options.scheme)) {
    absl::StrAppendFormat(&name, "_%s", Name(options.pgtable_alloc));
  }
  return name;
}

std::ostream& operator<<(std::ostream& out, const Planted& planted) {
  return out << TestNameOf(planted);
}

std::vector<Planted> AllPlanted() {
  std::vector<Planted> all;
  for (const Scenario& scenario : AllScenarios()) {
    for (const Expectation& expectation : scenario.finds) {
      if (!scenario.takes_fault_options()) all.push_back({{&scenario, {}}, expectation.mutant});
      for (const FaultOptions& options : expectation.configurations) {
        all.push_back({{&scenario, options}, expectation.mutant});
      }
    }
  }
  return all;
}

/// What the bug may look like when it strikes: the kinds that its story allows. Which one it is
/// first depends on the scenario.
std::vector<ViolationKind> ExpectedKinds(Mutant mutant) {
  using enum ViolationKind;
  switch (mutant) {
    case Mutant::kNone:
      return {};
    case Mutant::kRwSemLosesWakeup:
      return {kLostWakeup};
    case Mutant::kRwSemDowngradeLetsWriterIn:
    case Mutant::kSeqCountReaderForgetsRecheck:
      return {kInvariant};
    case Mutant::kFreeWithoutGracePeriod:
      return {kUseAfterFree};
    case Mutant::kSleepInRcuSection:
      return {kSleepInAtomic};
    case Mutant::kAbbaOrder:
      return {kLockOrder, kDeadlock};
    case Mutant::kStaleTypeStablePointer:
      return {kStaleReference};
    case Mutant::kM1:   // the table's frame does not come back, or is touched when it has
    case Mutant::kM17:  // likewise: what is below the skipped entry
      return {kLeak, kUseAfterFree, kInvariant};
    case Mutant::kM3:               // a store is lost
    case Mutant::kM22:              // an old word is read
    case Mutant::kMapsForgetRange:  // a gap is shown
      return {kInvariant};
    case Mutant::kM4:  // the mm that is woken is gone
    case Mutant::kM19:
      return {kUseAfterFree, kStaleReference, kInvariant};
    case Mutant::kM5:  // a page outside of its VMA
    case Mutant::kM6:  // a signal although the page is mapped
    case Mutant::kM7:
    case Mutant::kM10:
    case Mutant::kM15:
      return {kInvariant, kStaleReference, kUseAfterFree};
    case Mutant::kM23:  // it finds the same VMA for ever
      return {kStepLimit};
    case Mutant::kM8:
      return {kSleepInAtomic};
    case Mutant::kM9:  // the machine misses a frame at its end
      return {kInvariant, kLeak};
    case Mutant::kM13:
    case Mutant::kM18:
      return {kInvariant, kUseAfterFree, kLeak};
    case Mutant::kM14:
      return {kLockOrder, kDeadlock};
  }
  ADD_FAILURE() << "this table misses mutant " << Name(mutant);
  return {};
}

/// Whether a finding's kind is one that the bug may show as.
MATCHER_P(IsAKindOf, mutant, "is a kind that the mutant's story allows") {
  const std::vector<ViolationKind> kinds = ExpectedKinds(mutant);
  *result_listener << Name(arg);
  return std::find(kinds.begin(), kinds.end(), arg) != kinds.end();
}

/// Those in scenarios that take no scheme.
std::vector<Planted> PlantedInSync() {
  std::vector<Planted> all = AllPlanted();
  std::erase_if(all,
                [](const Planted& planted) { return planted.scenario().takes_fault_options(); });
  return all;
}

class PlantedBugTest : public testing::TestWithParam<Planted> {
 protected:
  [[nodiscard]] SearchSubject Subject() const {
    return SubjectOf(GetParam().scenario(), GetParam().mutant, GetParam().configuration.options);
  }
  /// Searches depth first at bound 2, as `faultline-explore` does unless told otherwise.
  [[nodiscard]] SearchResult Search() const {
    return Explore(Subject(), {.max_schedules = kMaxSchedules});
  }

  static void ExpectToldStepByStepWithSourceLines(const Finding& finding) {
    const std::string& table = finding.table;
    const Replay replay = std::get<Replay>(DecodeReplay(finding.replay));
    EXPECT_THAT(table, testing::StartsWith(" step  task"));
    EXPECT_THAT(table, HasSubstr(std::string(Name(finding.violation.kind)) + ": "));
    EXPECT_THAT(table, HasSubstr(finding.violation.message));
    ASSERT_FALSE(replay.choices.empty());
    const std::string last_step =
        "\n *" + std::to_string(replay.choices.size()) + "  [0-9]+ [a-z]+";
    EXPECT_THAT(table, ContainsRegex("\n    1  [0-9]+ [a-z]+"));
    EXPECT_THAT(table, ContainsRegex(last_step));
    for (const ReplayChoice& choice : replay.choices) {
      EXPECT_THAT(table, HasSubstr(" " + std::string(Name(choice.kind)) + " "));
    }
    EXPECT_THAT(table, ContainsRegex("core/[a-z_/]+[.](cc|h):[0-9]+\n"));
  }

  void ExpectRepeatedByItsReplayString(const Finding& finding) const {
    const auto decoded = DecodeReplay(finding.replay);
    ASSERT_TRUE(std::holds_alternative<Replay>(decoded)) << std::get<std::string>(decoded);
    const Replay& replay = std::get<Replay>(decoded);
    EXPECT_EQ(replay.identity.scenario, GetParam().scenario().name);
    EXPECT_EQ(replay.identity.mutant, Name(GetParam().mutant));
    const auto options = RecordedOptions(GetParam().scenario(), replay.identity);
    ASSERT_TRUE(std::holds_alternative<FaultOptions>(options)) << std::get<std::string>(options);
    EXPECT_EQ(std::get<FaultOptions>(options), GetParam().configuration.options);

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
};

TEST_P(PlantedBugTest, IsFoundDepthFirstAndToldAndRepeated100TimesOutOf100) {
  const SearchResult result = Search();
  ASSERT_TRUE(result.finding.has_value()) << "not within " << result.schedules << " schedules";
  EXPECT_THAT(result.finding->violation.kind, IsAKindOf(GetParam().mutant))
      << result.finding->table;
  EXPECT_LE(result.finding->preemptions, 2u);
  EXPECT_EQ(result.finding->schedule, result.schedules);
  RecordProperty("schedules", std::to_string(result.schedules));
  ExpectToldStepByStepWithSourceLines(*result.finding);
  ExpectRepeatedByItsReplayString(*result.finding);
}

INSTANTIATE_TEST_SUITE_P(Mutants, PlantedBugTest, testing::ValuesIn(AllPlanted()),
                         [](const auto& test) { return TestNameOf(test.param); });

/// Small enough to be searched by any strategy.
class PlantedSyncBugTest : public PlantedBugTest {};

TEST_P(PlantedSyncBugTest, IsFoundWithoutPruning) {
  const SearchResult result =
      Explore(Subject(), {.pruning = Pruning::kNone, .max_schedules = kMaxSchedules});
  ASSERT_TRUE(result.finding.has_value()) << "not within " << result.schedules << " schedules";
  EXPECT_THAT(result.finding->violation.kind, IsAKindOf(GetParam().mutant));
}

TEST_P(PlantedSyncBugTest, IsFoundByRandomSchedules) {
  for (const uint64_t seed : {1, 2, 3}) {
    const SearchResult result = Explore(
        Subject(), {.strategy = Strategy::kPct, .seed = seed, .max_schedules = kMaxSchedules});
    std::cout << GetParam() << ": seed " << seed << ", " << result.schedules << " schedules\n";
    ASSERT_TRUE(result.finding.has_value()) << "seed " << seed;
    EXPECT_THAT(result.finding->violation.kind, IsAKindOf(GetParam().mutant))
        << "seed " << seed << "\n"
        << result.finding->table;
  }
}

INSTANTIATE_TEST_SUITE_P(Mutants, PlantedSyncBugTest, testing::ValuesIn(PlantedInSync()),
                         [](const auto& test) { return TestNameOf(test.param); });

TEST(MutantsTest, EachIsFoundBySomeScenario) {
  for (const Mutant mutant : AllMutants()) {
    const auto finds = [mutant](const Planted& planted) { return planted.mutant == mutant; };
    const std::vector<Planted> all = AllPlanted();
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), finds)) << Name(mutant);
  }
}

TEST(MutantsTest, EachHasAKindOfViolation) {
  for (const Mutant mutant : AllMutants()) EXPECT_FALSE(ExpectedKinds(mutant).empty());
}

TEST(MutantsTest, AreOffAgainAfterASearchAndAReplay) {
  const Planted planted = AllPlanted().front();
  const SearchSubject subject =
      SubjectOf(planted.scenario(), planted.mutant, planted.configuration.options);
  const SearchResult result = Explore(subject, {.max_schedules = kMaxSchedules});
  EXPECT_FALSE(MutantOn(planted.mutant));
  ASSERT_TRUE(result.finding.has_value());
  const auto replay = DecodeReplay(result.finding->replay);
  EXPECT_TRUE(ReplayRun(subject, std::get<Replay>(replay).choices).violation.has_value());
  EXPECT_FALSE(MutantOn(planted.mutant));
}

}  // namespace
}  // namespace faultline
