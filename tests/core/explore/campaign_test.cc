// SPDX-License-Identifier: Apache-2.0
//
// The lists of cells that campaigns work through, and the file that a long one goes on from. That
// what a campaign searches is searched well is the subject of the other tests here.
#include "core/explore/campaign.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline {
namespace {

using ::testing::HasSubstr;

std::vector<const Scenario*> FaultScenarioList(size_t most) {
  std::vector<const Scenario*> scenarios;
  for (const Scenario& scenario : AllScenarios()) {
    if (scenario.takes_fault_options() && scenarios.size() < most) scenarios.push_back(&scenario);
  }
  return scenarios;
}

std::vector<std::string> NamesOf(const std::vector<Configuration>& cells) {
  std::vector<std::string> names;
  names.reserve(cells.size());
  for (const Configuration& cell : cells) names.push_back(CellName(cell));
  return names;
}

// -- The covering array ---------------------------------------------------------------------------

/// Values of the factors: the scenario by its address.
std::vector<uintptr_t> ValuesOf(const Scenario* scenario, const FaultOptions& options) {
  return {reinterpret_cast<uintptr_t>(scenario), uintptr_t(options.scheme),
          uintptr_t(options.pgtable_alloc),      uintptr_t(options.pte_table),
          uintptr_t(options.pgtable_free),       uintptr_t(options.guard)};
}

using Pair = std::tuple<size_t, uintptr_t, size_t, uintptr_t>;

void AddPairs(const Scenario* scenario, const FaultOptions& options, std::set<Pair>& pairs) {
  const std::vector<uintptr_t> values = ValuesOf(scenario, options);
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = i + 1; j < values.size(); ++j) pairs.insert({i, values[i], j, values[j]});
  }
}

TEST(PairwiseCellsTest, HaveEveryPairThatIsAllowed) {
  const std::vector<const Scenario*> scenarios = FaultScenarioList(100);
  std::set<Pair> wanted;
  for (const Scenario* scenario : scenarios) {
    for (const FaultOptions& options : AllowedOptions()) AddPairs(scenario, options, wanted);
  }
  std::set<Pair> there;
  for (const Configuration& cell : PairwiseCells(scenarios, 1)) {
    EXPECT_TRUE(IsAllowed(cell.options)) << CellName(cell);
    AddPairs(cell.scenario, cell.options, there);
  }
  EXPECT_EQ(there, wanted);
}

TEST(PairwiseCellsTest, AreFarFewerThanAllCombinations) {
  const std::vector<const Scenario*> scenarios = FaultScenarioList(100);
  const size_t cells = PairwiseCells(scenarios, 1).size();
  // No fewer than the two factors with most values need, and little more.
  EXPECT_GE(cells, scenarios.size() * AllSchemes().size());
  EXPECT_LE(cells, scenarios.size() * AllSchemes().size() * 3 / 2);
}

TEST(PairwiseCellsTest, FollowFromTheSeed) {
  const std::vector<const Scenario*> scenarios = FaultScenarioList(5);
  EXPECT_EQ(NamesOf(PairwiseCells(scenarios, 7)), NamesOf(PairwiseCells(scenarios, 7)));
  EXPECT_NE(NamesOf(PairwiseCells(scenarios, 7)), NamesOf(PairwiseCells(scenarios, 8)));
}

TEST(PairwiseCellsTest, LeaveOutScenariosWithoutOptions) {
  EXPECT_TRUE(PairwiseCells(std::vector{FindScenario("rwsem")}, 1).empty());
}

TEST(PairCellsTest, AreScenariosOfTwoTasksUnderEveryScheme) {
  const std::vector<const Scenario*> scenarios = {FindScenario("fault_vs_munmap_cold"),
                                                  FindScenario("fault_vs_munmap_mmap"),
                                                  FindScenario("rwsem")};
  const std::vector<Configuration> cells = PairCells(scenarios);
  EXPECT_EQ(cells.size(), AllSchemes().size());
  std::set<std::string> schemes;
  for (const Configuration& cell : cells) {
    EXPECT_EQ(cell.scenario, scenarios.front());
    EXPECT_EQ(cell.options, DefaultsOf(cell.options.scheme));
    schemes.emplace(Name(cell.options.scheme));
  }
  EXPECT_EQ(schemes.size(), cells.size());
}

// -- The state file -------------------------------------------------------------------------------

class CampaignStateTest : public testing::Test {
 protected:
  CampaignStateTest() { std::remove(path_.c_str()); }
  ~CampaignStateTest() override { std::remove(path_.c_str()); }

  [[nodiscard]] CampaignState Opened() const {
    auto state = CampaignState::Open(path_, "build 1", "long");
    EXPECT_TRUE(std::holds_alternative<CampaignState>(state)) << std::get<std::string>(state);
    return std::get<CampaignState>(std::move(state));
  }
  [[nodiscard]] std::string Refusal(const std::string& build) const {
    const auto state = CampaignState::Open(path_, build, "long");
    const auto* const problem = std::get_if<std::string>(&state);
    return problem == nullptr ? "" : *problem;
  }
  [[nodiscard]] std::string Text() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  const std::string path_ =
      testing::TempDir() + "faultline_campaign_state_" + std::to_string(getpid());
  const Configuration first_{FindScenario("fault_vs_fork"), DefaultsOf(SchemeName::kVmaLock)};
  const Configuration second_{FindScenario("fault_vs_fork"), DefaultsOf(SchemeName::kRcuRestart)};
};

TEST_F(CampaignStateTest, GoesOnFromWhatWasDone) {
  {
    CampaignState state = Opened();
    EXPECT_FALSE(state.IsDone(first_));
    SearchResult result;
    result.schedules = 12;
    result.complete = true;
    EXPECT_TRUE(state.Append(first_, result));
    EXPECT_TRUE(state.IsDone(first_));
  }
  const CampaignState again = Opened();
  EXPECT_TRUE(again.IsDone(first_));
  EXPECT_FALSE(again.IsDone(second_));
  EXPECT_EQ(again.done(), 1u);
  EXPECT_THAT(Text(), HasSubstr("fault_vs_fork vma_lock eager,at_set_pte,deferred,still_valid: "
                                "12 schedules, complete\n"));
}

TEST_F(CampaignStateTest, OfAnotherBuildIsRefusedAndKept) {
  (void)Opened();
  const std::string before = Text();
  EXPECT_THAT(Refusal("build 2"), HasSubstr("build 1"));
  EXPECT_THAT(Refusal("build 2"), HasSubstr("build 2"));
  EXPECT_EQ(Text(), before);
}

TEST_F(CampaignStateTest, ThatIsSomethingElseIsRefusedAndKept) {
  std::ofstream(path_) << "dear diary\n";
  EXPECT_THAT(Refusal("build 1"), HasSubstr("dear diary"));
  EXPECT_EQ(Text(), "dear diary\n");
}

TEST_F(CampaignStateTest, ThatCannotBeWrittenIsRefused) {
  const auto state = CampaignState::Open("/no/such/folder/state", "build 1", "long");
  ASSERT_TRUE(std::holds_alternative<std::string>(state));
  EXPECT_THAT(std::get<std::string>(state), HasSubstr("cannot be written"));
}

TEST_F(CampaignStateTest, DoesNotCountALineThatWasCut) {
  {
    CampaignState state = Opened();
    EXPECT_TRUE(state.Append(first_, {}));
    EXPECT_TRUE(state.Append(second_, {}));
  }
  std::string text = Text();
  text.resize(text.size() - 4);
  std::ofstream(path_) << text;
  CampaignState again = Opened();
  EXPECT_TRUE(again.IsDone(first_));
  EXPECT_FALSE(again.IsDone(second_));
  EXPECT_TRUE(again.Append(second_, {}));
  EXPECT_TRUE(Opened().IsDone(second_));
}

}  // namespace
}  // namespace faultline
