// SPDX-License-Identifier: Apache-2.0
//
// faultline-explore from the outside: runs the binary and looks at what it prints and how it exits.
// What searches find is the subject of other tests; here it only matters that the tool tells it.
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Outcome {
  int exit_code;
  std::string output;
};

/// What a shell makes of `command`.
Outcome Shell(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 4096> buffer;
  while (const size_t got = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), got);
  }
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

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
                                HasSubstr("core/explore/sync_scenarios.cc:"),
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

// -- Lists and tables -----------------------------------------------------------------------------

TEST(ExploreCliTest, ListShowsScenariosMutantsAndMatrix) {
  const Outcome run = Stdout("--list");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, AllOf(HasSubstr("rwsem_downgrade"), HasSubstr("finds abba_order"),
                                HasSubstr("Schemes and the policies they accept")));
  const nlohmann::json list = Json("--list");
  EXPECT_GT(list.at("scenarios").size(), 20U);
  EXPECT_EQ(list.at("schemes").at(0).at("name"), "none");
}

TEST(ExploreCliTest, TableOfMutantsFindsEachOne) {
  const Outcome run = Stdout("--table=mutants");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.output, Not(HasSubstr("NOT FOUND")));
  const nlohmann::json table = Json("--table=mutants");
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
        BadUsage{"--scheme=vma_lock", "--scheme: 'vma_lock'", "allowed: none"},
        BadUsage{"--policy=eager", "--policy: 'eager'", "allowed: none"},
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
