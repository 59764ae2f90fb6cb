// SPDX-License-Identifier: Apache-2.0
//
// faultline-explore from the outside: runs the binary and looks at what it prints and how it exits.
// What searches find is the subject of other tests; here it only matters that the tool tells it.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/testing/shell.h"

namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using faultline::testing::Outcome;
using faultline::testing::Shell;

Outcome Stdout(const std::string& flags) {
  return Shell(std::string(FAULTLINE_EXPLORE) + " " + flags + " 2>/dev/null");
}
Outcome Stderr(const std::string& flags) {
  return Shell(std::string(FAULTLINE_EXPLORE) + " " + flags + " 2>&1 >/dev/null");
}
nlohmann::json Json(const std::string& flags) {
  return nlohmann::json::parse(Stdout(flags + " --json").output);
}

/// A replay string as the tool prints it for `rwsem` with its planted bug.
std::string RecordedReplay() {
  const nlohmann::json found = Json("--scenario=rwsem --mutant=rwsem_loses_wakeup");
  return found.at("results").at(0).at("finding").at("replay").get<std::string>();
}

// -- Searching ------------------------------------------------------------------------------------

TEST(ExploreCliTest, CleanSearchReadsAsTheSummaryAndExitsWithZero) {
  const Outcome run = Stdout("--scenario=rwsem --bound=1");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output,
              AllOf(HasSubstr("no violation, complete"), HasSubstr("1 scenario: no violation in "),
                    HasSubstr("sequentially consistent, preemption bound 1, complete")));
}

TEST(ExploreCliTest, CutSearchReadsCapped) {
  EXPECT_THAT(Stdout("--scenario=mutex --schedules=10").output,
              HasSubstr("no violation in 10 schedules, sequentially consistent, preemption bound "
                        "2, capped"));
}

TEST(ExploreCliTest, RandomSearchSaysSeedAndDepth) {
  EXPECT_THAT(
      Stdout("--scenario=mutex --strategy=pct --seed=7 --depth=4 --schedules=100").output,
      HasSubstr("no violation in 100 schedules, sequentially consistent, random with seed 7 and "
                "depth 4"));
}

TEST(ExploreCliTest, ViolationPrintsStepsAndTheCommandThatRepeatsThem) {
  const Outcome run = Stdout("--scenario=rwsem --mutant=rwsem_loses_wakeup");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.output, AllOf(HasSubstr("VIOLATION: lost wake-up"), HasSubstr("operation"),
                                HasSubstr("core/explore/lock_scenarios.cc:"),
                                HasSubstr("faultline-explore --replay=fl1:rwsem:")));
}

TEST(ExploreCliTest, MutantWithoutScenarioRunsThoseThatMustFindIt) {
  const nlohmann::json found = Json("--mutant=abba_order");
  ASSERT_EQ(found.at("results").size(), 2U);
  EXPECT_EQ(found.at("results").at(0).at("scenario"), "lock_order");
  EXPECT_EQ(found.at("results").at(1).at("scenario"), "lock_order_unchecked");
}

TEST(ExploreCliTest, ScenarioIsRepeatable) {
  const nlohmann::json found = Json("--scenario=mutex --scenario=seq_count --bound=0");
  EXPECT_EQ(found.at("results").size(), 2U);
}

TEST(ExploreCliTest, PrunedAndUnprunedAgree) {
  const nlohmann::json unpruned = Json("--scenario=seq_count --pruning=none");
  EXPECT_EQ(unpruned.at("options").at("pruning"), "none");
  EXPECT_TRUE(unpruned.at("results").at(0).at("complete"));
  EXPECT_TRUE(unpruned.at("results").at(0).at("finding").is_null());
}

// -- Schemes and policies -------------------------------------------------------------------------

constexpr const char* kFault = "--scenario=fault_vs_munmap_cold --bound=1 ";

TEST(ExploreCliTest, SchemeAllRunsEachWithItsDefaults) {
  const nlohmann::json found = Json(std::string(kFault) + "--scheme=all");
  ASSERT_EQ(found.at("results").size(), 8U);
  EXPECT_EQ(found.at("results").at(0).at("scheme"), "mmap_lock");
  EXPECT_EQ(found.at("results").at(7).at("scheme"), "rcu_continue");
  EXPECT_EQ(found.at("results").at(7).at("policies"),
            "gfp_argument,at_set_pte,deferred,still_valid");
  EXPECT_TRUE(found.at("results").at(7).at("complete"));
}

TEST(ExploreCliTest, SchemesAreRepeatableAndPoliciesReplaceTheirDefaults) {
  const nlohmann::json found =
      Json(std::string(kFault) + "--scheme=vma_lock --scheme=rcu_restart --policy=synchronous");
  ASSERT_EQ(found.at("results").size(), 2U);
  EXPECT_EQ(found.at("results").at(0).at("policies"), "eager,at_set_pte,synchronous,still_valid");
  EXPECT_EQ(found.at("results").at(1).at("policies"),
            "gfp_argument,at_set_pte,synchronous,still_valid");
}

TEST(ExploreCliTest, SchemeAllLeavesOutThoseThatThePolicyDoesNotFit) {
  const nlohmann::json found = Json(std::string(kFault) + "--scheme=all --policy=eager");
  EXPECT_EQ(found.at("results").size(), 4U);
}

TEST(ExploreCliTest, SchemeWithoutScenarioRunsThoseThatTakeOne) {
  const nlohmann::json found = Json("--scheme=vma_lock --bound=0");
  EXPECT_GT(found.at("results").size(), 50U);
  for (const nlohmann::json& result : found.at("results")) {
    EXPECT_EQ(result.at("scheme"), "vma_lock");
  }
}

TEST(ExploreCliTest, ReplayBringsItsSchemeAndPolicies) {
  const std::string flags =
      "--scenario=fault_vs_dontneed_table --bound=1 --mutant=free_without_grace_period "
      "--scheme=vma_lock --policy=with_walk";
  const nlohmann::json found = Json(flags);
  const auto replay = found.at("results").at(0).at("finding").at("replay").get<std::string>();
  EXPECT_THAT(replay, HasSubstr(":vma_lock:eager,with_walk,deferred,still_valid:"));
  EXPECT_EQ(Stdout("--times=20 --replay=" + replay).exit_code, 0);
  EXPECT_EQ(Stdout("--scheme=vma_lock --policy=with_walk --replay=" + replay).exit_code, 0);
  const Outcome other_scheme = Stderr("--scheme=vma_rwsem --replay=" + replay);
  EXPECT_EQ(other_scheme.exit_code, 4);
  EXPECT_THAT(other_scheme.output, HasSubstr("it is for scheme 'vma_lock', not for 'vma_rwsem'"));
  EXPECT_EQ(Stderr("--policy=at_set_pte --replay=" + replay).exit_code, 4);
}

// -- Campaigns ------------------------------------------------------------------------------------

constexpr const char* kSmall = "--scenario=fault_vs_fault_table --scenario=read_vs_mprotect ";

TEST(ExploreCliTest, PairwiseCampaignSearchesEveryCell) {
  const Outcome run = Stdout(std::string(kSmall) + "--campaign=pairwise --seed=5");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, AllOf(HasSubstr("seed 5"), HasSubstr("bound 1: "), HasSubstr("bound 2: "),
                                HasSubstr(": no violation; "), Not(HasSubstr("left"))));
  const nlohmann::json again = Json(std::string(kSmall) + "--campaign=pairwise --seed=5");
  EXPECT_EQ(again.at("left"), 0);
  EXPECT_EQ(again.at("done"), again.at("cells").size());
  EXPECT_GE(again.at("done"), 16);
}

TEST(ExploreCliTest, PairwiseCampaignDrawsAFreshSeed) {
  const std::string flags = std::string(kSmall) + "--campaign=pairwise --time=1";
  EXPECT_NE(Json(flags).at("seed"), Json(flags).at("seed"));
}

TEST(ExploreCliTest, CampaignSaysWhatWasLeftWhenTheTimeWasUp) {
  const Outcome run = Stdout("--campaign=pairwise --time=1");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, ContainsRegex("The time was up: [0-9]+ cells left, from '"));
}

TEST(ExploreCliTest, LongCampaignGoesOnWhereItWasStopped) {
  const std::string state =
      testing::TempDir() + "faultline_cli_campaign_" + std::to_string(getpid());
  const std::string flags = std::string(kSmall) + "--campaign=long --state=" + state;
  std::remove(state.c_str());
  const nlohmann::json first = Json(flags);
  EXPECT_EQ(first.at("done"), 16);
  EXPECT_TRUE(first.at("cells").at(0).at("searches").at(0).at("complete"));
  const nlohmann::json second = Json(flags);
  EXPECT_EQ(second.at("done"), 0);
  EXPECT_EQ(second.at("done_before"), 16);
  const Outcome other = Stderr(flags + " --schedules=7");
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.output, AllOf(HasSubstr("--state: "), HasSubstr("is of something else")));
  std::remove(state.c_str());
}

// -- Lists and tables -----------------------------------------------------------------------------

TEST(ExploreCliTest, ListShowsScenariosMutantsAndMatrix) {
  const Outcome run = Stdout("--list");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, AllOf(HasSubstr("rwsem_downgrade"), HasSubstr("finds abba_order"),
                                HasSubstr("fault_vs_munmap_cold"), HasSubstr("pgtable_free"),
                                ContainsRegex("\n  spf_mm_seq +no +yes"),
                                ContainsRegex("\n  vma_refcnt +yes +yes")));
  const nlohmann::json list = Json("--list");
  EXPECT_GT(list.at("scenarios").size(), 80U);
  EXPECT_EQ(list.at("schemes").at(0).at("name"), "mmap_lock");
  EXPECT_TRUE(list.at("schemes").at(0).at("pgtable_alloc").at("eager"));
  EXPECT_FALSE(list.at("schemes").at(7).at("pgtable_alloc").at("eager"));
}

TEST(ExploreCliTest, TableOfMutantsFindsEachOne) {
  const Outcome run = Stdout("--table=mutants --mutant=m1");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, Not(HasSubstr("NOT FOUND")));
#ifdef __SANITIZE_ADDRESS__
  const std::string some = " --mutant=m1";  // all of them take minutes
#else
  const std::string some;
#endif
  const nlohmann::json table = Json("--table=mutants" + some);
  for (const nlohmann::json& row : table.at("rows")) {
    EXPECT_TRUE(row.at("found")) << row;
    EXPECT_LE(row.at("schedules_of_all_bounds"), 10'000) << row;
  }
}

TEST(ExploreCliTest, TableOfMutantsAdmitsWhatTheBoundHides) {
  const Outcome run = Stdout("--table=mutants --mutant=rwsem_loses_wakeup --bound=0");
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_THAT(run.output, HasSubstr("NOT FOUND, complete"));
}

TEST(ExploreCliTest, VersionNamesTheBuild) {
  const Outcome run = Stdout("--version");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, ::testing::MatchesRegex("faultline-explore [0-9.]+ \\([^)]+\\)\n"));
}

TEST(ExploreCliTest, HelpDocumentsExitCodes) {
  const Outcome run = Stdout("--help");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, AllOf(HasSubstr("Exit codes:"), HasSubstr("Examples:")));
}

// -- Replaying ------------------------------------------------------------------------------------

TEST(ExploreCliTest, ReplayStringAloneReproduces) {
  const Outcome run = Stdout("--times=100 --replay=" + RecordedReplay());
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, AllOf(HasSubstr("operation"), HasSubstr("lost wake-up: no task can run"),
                                HasSubstr("Reproduced: lost wake-up, 100 of 100 times")));
}

TEST(ExploreCliTest, ReplayPrintsTheSameStepsAsTheSearch) {
  const nlohmann::json found =
      Json("--scenario=seq_count --mutant=seqcount_reader_forgets_recheck");
  const nlohmann::json& finding = found.at("results").at(0).at("finding");
  const nlohmann::json again = Json("--replay=" + finding.at("replay").get<std::string>());
  EXPECT_TRUE(again.at("reproduced"));
  EXPECT_EQ(again.at("table"), finding.at("table"));
}

TEST(ExploreCliTest, ReplayWithItsOwnScenarioAndMutantIsAccepted) {
  EXPECT_EQ(
      Stdout("--scenario=rwsem --mutant=rwsem_loses_wakeup --replay=" + RecordedReplay()).exit_code,
      0);
}

TEST(ExploreCliTest, ReplayForAnotherScenarioIsRefused) {
  const Outcome run = Stderr("--scenario=mutex --replay=" + RecordedReplay());
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.output, HasSubstr("it is for scenario 'rwsem', not for 'mutex'"));
}

TEST(ExploreCliTest, ReplayForAnotherMutantIsRefused) {
  const Outcome run = Stderr("--mutant=none --replay=" + RecordedReplay());
  EXPECT_EQ(run.exit_code, 4);
  EXPECT_THAT(run.output, HasSubstr("it is for mutant 'rwsem_loses_wakeup', not for 'none'"));
}

TEST(ExploreCliTest, CutReplayStringIsRefusedAtEveryLength) {
  const std::string whole = RecordedReplay();
  for (size_t length = 1; length < whole.size(); length += 7) {
    const Outcome run = Stderr("--replay=" + whole.substr(0, length));
    EXPECT_EQ(run.exit_code, 4) << length;
    EXPECT_THAT(run.output, HasSubstr("replay string: ")) << length;
  }
}

// -- Refusals: flag, value and what is allowed ----------------------------------------------------

struct BadUsage {
  std::string flags;
  std::string flag;
  std::string says;
};

/// Test names show the flags.
void PrintTo(const BadUsage& bad, std::ostream* out) { *out << bad.flags; }

class ExploreCliRefusalTest : public ::testing::TestWithParam<BadUsage> {};

TEST_P(ExploreCliRefusalTest, NamesTheProblemAndRunsNothing) {
  const BadUsage& bad = GetParam();
  const Outcome run = Stderr(bad.flags);
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.output, AllOf(HasSubstr(bad.flag), HasSubstr(bad.says)));
  EXPECT_THAT(Stdout(bad.flags).output, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Flags, ExploreCliRefusalTest,
    ::testing::Values(
        BadUsage{"--scenario=nope", "--scenario: 'nope'", "allowed: spin_lock, mutex"},
        BadUsage{"--mutant=nope", "--mutant: 'nope'", "allowed: none, rwsem_loses_wakeup"},
        BadUsage{"--scheme=nope", "--scheme: 'nope'", "allowed: all, mmap_lock, vma_rwsem"},
        BadUsage{"--scenario=rwsem --scheme=vma_lock", "--scheme", "scenario 'rwsem' takes none"},
        BadUsage{"--policy=nope", "--policy: policy 'nope'", "allowed, one of each: eager"},
        BadUsage{"--policy=eager,eager", "--policy: policy 'eager'", "given before"},
        BadUsage{"--scheme=spf_mm_seq --policy=eager", "--policy: 'eager' with scheme spf_mm_seq",
                 "allowed for spf_mm_seq: prealloc_all"},
        BadUsage{"--policy=rcu_implies_nowait", "--policy: 'rcu_implies_nowait'",
                 "needs depth_known"},
        BadUsage{"--campaign=short", "--campaign: 'short'", "allowed: pairwise, long"},
        BadUsage{"--campaign=long", "--campaign: 'long'", "needs --state"},
        BadUsage{"--campaign=pairwise --state=x", "--state", "--campaign=long only"},
        BadUsage{"--campaign=pairwise --bound=3", "--bound", "cannot be combined with --campaign"},
        BadUsage{"--campaign=pairwise --time=0", "--time: '0'", "from 1 to"},
        BadUsage{"--time=3", "--time", "requires --campaign"},
        BadUsage{"--scheme=all --replay=x", "--scheme: 'all'", "not allowed next to --replay"},
        BadUsage{"--strategy=bfs", "--strategy: 'bfs'", "allowed: dfs, pct"},
        BadUsage{"--pruning=dpor", "--pruning: 'dpor'", "allowed: none, bpor"},
        BadUsage{"--table=bugs", "--table: 'bugs'", "allowed: mutants"},
        BadUsage{"--bound=two", "--bound: 'two'", "from 0 to 100"},
        BadUsage{"--strategy=pct --seed=-1", "--seed: '-1'", "from 0 to 18446744073709551615"},
        BadUsage{"--schedules=0", "--schedules: '0'", "from 1 to"},
        BadUsage{"--depth=3", "--depth", "--strategy=pct only"},
        BadUsage{"--strategy=pct --bound=3", "--bound", "--strategy=dfs only"},
        BadUsage{"--replay=x --bound=3", "--bound", "cannot be combined with --replay"},
        BadUsage{"--times=3", "--times", "requires --replay"},
        BadUsage{"--nope", "--nope", "not expected"}));

// -- Progress -------------------------------------------------------------------------------------

constexpr const char* kLongSearch = "--scenario=mutex --strategy=pct --schedules=20000";

TEST(ExploreCliTest, NoProgressInAPipe) { EXPECT_THAT(Stderr(kLongSearch).output, IsEmpty()); }

TEST(ExploreCliTest, ProgressOnATerminal) {
  const Outcome run = Shell("script --quiet --return --command '" + std::string(FAULTLINE_EXPLORE) +
                            " " + kLongSearch + "' /dev/null");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, HasSubstr("\rmutex: 4096 schedules, "));
}

}  // namespace
