// SPDX-License-Identifier: Apache-2.0
//
// The flags of faultline-explore. CLI11 reads them and refuses values outside of what each allows;
// combinations that would be silently ignored are refused here.
#include "core/explore/faultline_explore_options.h"

#include <faultline_build_id.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <limits>
#include <random>
#include <utility>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr const char* kFooter = R"(
A search runs each scenario under one schedule after the other: depth first, all schedules with at
most --bound preemptions, or at random with --strategy=pct. It stops at a scenario's first
violation, prints the interleaving and the command that repeats it, and goes on with the next.
A clean result is about sequentially consistent executions within the bound; it proves no more.

Scenarios of page faults run in a configuration: a locking scheme and its policies. Without --scheme
that is mmap_lock, or, with --mutant, each configuration that must show the mutant. --list shows
what there is and what goes together.

A campaign goes over many configurations. pairwise: a covering array of scenario, scheme and each
policy, drawn anew each time; each cell at bound 1, complete, then at bound 2, at most --schedules.
long: every scenario of two tasks under every scheme at bound 2, complete; with the same --state it
goes on where it was stopped.

Exit codes:
  0  nothing was found (a campaign: in the time it had); or: the replay ended in a violation again, which is what it recorded;
     or: every mutant of the table was found
  1  a search found a violation
  2  wrong usage: unknown scenario, mutant, value or combination, a state file of something else;
     nothing ran
  3  the replay diverged, or ended without a violation; or: a mutant of the table was not found
  4  the replay string was refused: cut, changed, of another version, or not for the --scenario,
     --scheme, --policy or --mutant that was given; nothing ran

Examples:
  faultline-explore                                   every scenario, bound 2
  faultline-explore --scenario=rwsem --bound=3        one, searched deeper
  faultline-explore --mutant=abba_order               scenarios that must find that planted bug
  faultline-explore --strategy=pct --depth=4 --seed=7 --schedules=100000
  faultline-explore --replay=fl1:...                  repeats a finding and prints its steps
  faultline-explore --scenario=fault_vs_munmap_cold --scheme=all
  faultline-explore --scheme=rcu_restart --policy=nowait_scope,synchronous
  faultline-explore --table=mutants                   how hard each planted bug is to find
  faultline-explore --campaign=pairwise --time=300
  faultline-explore --campaign=long --state=long.txt --time=3600
)";

constexpr uint64_t kPctSchedules = 100'000;
constexpr uint64_t kPairwiseSchedules = 2'000;
constexpr uint64_t kPairwiseSeconds = 300;
constexpr uint64_t kLongSchedules = 100'000'000;
constexpr uint64_t kLongSeconds = 3'600;

/// The command line as typed.
struct Flags {
  bool list = false;
  bool json = false;
  Wanted wanted;
  std::string strategy = "dfs";
  std::string pruning = "bpor";
  std::string table;
  std::string replay;
  std::string campaign;
  std::string state;
  uint64_t time = 0;
  uint32_t bound = SearchOptions{}.bound;
  uint32_t depth = SearchOptions{}.pct_depth;
  uint64_t seed = SearchOptions{}.seed;
  uint64_t schedules = SearchOptions{}.max_schedules;
  int times = 1;
};

CLI::Validator OneOf(std::vector<std::string> allowed) {
  return {[allowed = std::move(allowed)](std::string& value) -> std::string {
            if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return {};
            return absl::StrCat("'", value,
                                "' is unknown, allowed: ", absl::StrJoin(allowed, ", "));
          },
          ""};
}

/// Whole numbers only; CLI11's own check takes "-5" for an unsigned number.
CLI::Validator Between(uint64_t min, uint64_t max) {
  return {[min, max](std::string& value) -> std::string {
            uint64_t number = 0;
            const char* end = value.data() + value.size();
            const auto [stop, error] = std::from_chars(value.data(), end, number);
            if (error == std::errc() && stop == end && min <= number && number <= max) return {};
            return absl::StrCat("'", value, "' is not allowed, only whole numbers from ", min,
                                " to ", max);
          },
          ""};
}

std::vector<std::string> ScenarioNames() {
  std::vector<std::string> names;
  for (const Scenario& scenario : AllScenarios()) names.push_back(scenario.name);
  return names;
}

std::vector<std::string> MutantNames() {
  std::vector<std::string> names = {std::string(Name(Mutant::kNone))};
  for (const Mutant mutant : AllMutants()) names.emplace_back(Name(mutant));
  return names;
}

std::vector<std::string> SchemeNames() {
  std::vector<std::string> names = {Wanted::kAllSchemes};
  for (const SchemeName scheme : AllSchemes()) names.emplace_back(Name(scheme));
  return names;
}

/// Words that ParsePolicies knows; whether they go together is the configurations' business.
CLI::Validator Policies() {
  return {[](std::string& value) -> std::string {
            FaultOptions options;
            return ParsePolicies(value, options).value_or("");
          },
          ""};
}

void AddWhatToRun(CLI::App& app, Flags& flags) {
  app.add_option("--scenario", flags.wanted.scenarios, "Only this scenario; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->take_all()
      ->check(OneOf(ScenarioNames()));
  app.add_option("--scheme", flags.wanted.schemes, "Locking scheme, or all; repeatable; see --list")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->take_all()
      ->check(OneOf(SchemeNames()));
  app.add_option("--policy", flags.wanted.policy,
                 "Policies, separated by commas; default: the scheme's own; see --list")
      ->type_name("WORDS")
      ->check(Policies());
  app.add_option("--mutant", flags.wanted.mutant,
                 "Plant this bug; without --scenario, search the scenarios that must find it")
      ->type_name("NAME")
      ->check(OneOf(MutantNames()));
}

void AddHowToSearch(CLI::App& app, Flags& flags) {
  app.add_option("--bound", flags.bound, "Preemptions per schedule, at most (dfs); default 2")
      ->type_name("N")
      ->check(Between(0, 100));
  app.add_option("--strategy", flags.strategy, "dfs (default), or pct: random with priorities")
      ->type_name("NAME")
      ->check(OneOf({"dfs", "pct"}));
  app.add_option("--pruning", flags.pruning, "bpor (default) or none (dfs)")
      ->type_name("NAME")
      ->check(OneOf({"none", "bpor"}));
  app.add_option("--depth", flags.depth, "Ordering constraints aimed at (pct); default 3")
      ->type_name("N")
      ->check(Between(1, 100));
  app.add_option("--seed", flags.seed, "Seed; default 1 (pct), fresh (campaign)")
      ->type_name("N")
      ->check(Between(0, std::numeric_limits<uint64_t>::max()));
  app.add_option("--schedules", flags.schedules,
                 "Schedules per search, at most; default 1000000, pct 100000, pairwise 2000")
      ->type_name("N")
      ->check(Between(1, 1'000'000'000'000));
}

void AddOtherJobs(CLI::App& app, Flags& flags) {
  app.add_flag("--list", flags.list, "List scenarios, mutants, and the matrix of schemes");
  app.add_option("--replay", flags.replay,
                 "Repeat the schedule of a replay string, print its steps")
      ->type_name("STRING");
  app.add_option("--times", flags.times, "Repeat it this often; default 1")
      ->type_name("N")
      ->check(Between(1, 1'000'000))
      ->needs("--replay");
  app.add_option("--table", flags.table,
                 "mutants: what it takes to find each; bounds 0 to --bound, default 3")
      ->type_name("NAME")
      ->check(OneOf({"mutants"}));
  app.add_option("--campaign", flags.campaign, "pairwise or long, see below")
      ->type_name("NAME")
      ->check(OneOf({"pairwise", "long"}));
  app.add_option("--state", flags.state, "What a long campaign has done; it goes on from there")
      ->type_name("FILE")
      ->needs("--campaign");
  app.add_option("--time", flags.time,
                 "Seconds that a campaign may take; default 300 (pairwise), 3600 (long)")
      ->type_name("SECONDS")
      ->check(Between(1, 1'000'000))
      ->needs("--campaign");
  app.add_flag("--json", flags.json, "Print one JSON document instead of tables");
}

/// The first two of `names` that were both given, as a sentence; empty if there are none.
std::string FirstClash(const CLI::App& app, const std::string& flag,
                       const std::vector<std::string>& names, const std::string& why) {
  if (app.count(flag) == 0) return {};
  for (const std::string& name : names) {
    if (app.count(name) != 0) return absl::StrCat(name, " cannot be combined with ", flag, why);
  }
  return {};
}

/// A combination of flags of which one would do nothing, as a sentence; empty if there is none.
std::string Clash(const CLI::App& app, const Flags& flags) {
  const std::vector<std::string> search = {"--bound", "--strategy", "--pruning",
                                           "--depth", "--seed",     "--schedules"};
  for (const std::string& clash :
       {FirstClash(app, "--list",
                   {"--replay", "--table", "--scenario", "--scheme", "--policy", "--mutant"}, ""),
        FirstClash(app, "--list", search, ""), FirstClash(app, "--replay", {"--table"}, ""),
        FirstClash(app, "--campaign",
                   {"--list", "--replay", "--table", "--mutant", "--scheme", "--policy", "--bound",
                    "--strategy", "--pruning", "--depth"},
                   ", which decides by itself"),
        FirstClash(app, "--table", {"--policy"}, ", whose rows have their own"),
        FirstClash(app, "--replay", search, ", whose string holds the schedule"),
        FirstClash(app, "--table", {"--strategy", "--depth", "--seed"},
                   ", which searches depth first")}) {
    if (!clash.empty()) return clash;
  }
  const bool pct = flags.strategy == "pct";
  if (flags.campaign == "pairwise") {
    if (app.count("--state") != 0) return "--state is for --campaign=long only";
  } else if (flags.campaign == "long") {
    if (app.count("--state") == 0) return "--campaign: 'long' needs --state, a file to go on from";
    if (app.count("--seed") != 0) return "--seed is for --campaign=pairwise only";
  } else if (!pct && app.count("--seed") != 0) {
    return "--seed is for --strategy=pct and --campaign=pairwise only";
  }
  if (!pct && app.count("--depth") != 0) return "--depth is for --strategy=pct only";
  for (const char* name : {"--bound", "--pruning"}) {
    if (pct && app.count(name) != 0) return absl::StrCat(name, " is for --strategy=dfs only");
  }
  for (const auto& [name, given] : {std::pair("--scenario", flags.wanted.scenarios.size()),
                                    std::pair("--scheme", flags.wanted.schemes.size())}) {
    if (app.count("--replay") == 0 || given <= 1) continue;
    return absl::StrCat(name, " was given ", given, " times; next to --replay one is allowed");
  }
  if (app.count("--replay") != 0 && flags.wanted.HasAllSchemes()) {
    return "--scheme: 'all' is not allowed next to --replay, whose string has one";
  }
  return {};
}

std::optional<std::string> IfGiven(const CLI::App& app, const char* flag,
                                   const std::string& value) {
  return app.count(flag) != 0 ? std::optional(value) : std::nullopt;
}

uint64_t FreshSeed() { return std::random_device()(); }

ExploreOptions::Campaign CampaignOf(const CLI::App& app, const Flags& flags) {
  const bool is_long = flags.campaign == "long";
  ExploreOptions::Campaign campaign = {
      .kind = is_long ? CampaignKind::kLong : CampaignKind::kPairwise,
      .scenarios = SelectScenarios(flags.wanted),
      .seed = app.count("--seed") != 0 ? flags.seed : FreshSeed(),
      .seconds = is_long ? kLongSeconds : kPairwiseSeconds,
      .state_file = flags.state};
  if (app.count("--time") != 0) campaign.seconds = flags.time;
  return campaign;
}

ExploreMode ModeOf(const CLI::App& app) {
  if (app.count("--list") != 0) return ExploreMode::kList;
  if (app.count("--replay") != 0) return ExploreMode::kReplay;
  if (app.count("--table") != 0) return ExploreMode::kMutantTable;
  if (app.count("--campaign") != 0) return ExploreMode::kCampaign;
  return ExploreMode::kSearch;
}

SearchOptions SearchOptionsOf(const CLI::App& app, const Flags& flags, ExploreMode mode) {
  SearchOptions search = {
      .strategy = flags.strategy == "pct" ? Strategy::kPct : Strategy::kDepthFirst,
      .pruning = flags.pruning == "none" ? Pruning::kNone : Pruning::kBpor,
      .bound = flags.bound,
      .pct_depth = flags.depth,
      .seed = flags.seed,
      .max_schedules = flags.schedules,
      .progress = nullptr,
      .give_up = nullptr,
  };
  if (mode == ExploreMode::kMutantTable && app.count("--bound") == 0) search.bound = 3;
  if (app.count("--schedules") != 0) return search;
  if (search.strategy == Strategy::kPct) search.max_schedules = kPctSchedules;  // else never done
  if (flags.campaign == "pairwise") search.max_schedules = kPairwiseSchedules;
  if (flags.campaign == "long") search.max_schedules = kLongSchedules;
  return search;
}

ExploreOptions Resolve(const CLI::App& app, const Flags& flags) {
  ExploreOptions options;
  options.mode = ModeOf(app);
  options.json = flags.json;
  options.mutant = MutantFromName(flags.wanted.mutant).value_or(Mutant::kNone);
  options.search = SearchOptionsOf(app, flags, options.mode);
  if (options.mode == ExploreMode::kMutantTable) {
    options.table_rows = SelectMutantRows(flags.wanted);
  } else if (options.mode == ExploreMode::kCampaign) {
    options.campaign = CampaignOf(app, flags);
  } else if (options.mode == ExploreMode::kSearch) {
    options.searches = SelectSearches(flags.wanted);
  }
  options.replay = flags.replay;
  options.times = flags.times;
  if (!flags.wanted.scenarios.empty()) options.scenario = flags.wanted.scenarios.front();
  if (!flags.wanted.schemes.empty()) options.scheme = flags.wanted.schemes.front();
  options.policies = IfGiven(app, "--policy", flags.wanted.policy);
  options.mutant_name = IfGiven(app, "--mutant", flags.wanted.mutant);
  return options;
}

/// What there is nothing to do for, as a sentence; empty if there is something.
std::string NothingToDo(const ExploreOptions& options, const Flags& flags) {
  if (options.mode == ExploreMode::kSearch && options.searches.empty()) {
    return absl::StrCat(
        "--mutant: no scenario must find '", flags.wanted.mutant,
        "'; name one with --scenario, allowed: ", absl::StrJoin(ScenarioNames(), ", "));
  }
  if (options.mode == ExploreMode::kMutantTable && options.table_rows.empty()) {
    return "--table: none of these scenarios must find any of these mutants under any of these "
           "schemes; see --list";
  }
  return {};
}

ExitCode Refuse(const std::string& why) {
  std::cerr << "faultline-explore: " << why << "\nSee faultline-explore --help.\n";
  return ExitCode::kUsage;
}

}  // namespace

std::variant<ExploreOptions, ExitCode> ParseOptions(int argc, char** argv) {
  CLI::App app("Searches the interleavings of small concurrent programs for violations.",
               "faultline-explore");
  Flags flags;
  AddWhatToRun(app, flags);
  AddHowToSearch(app, flags);
  AddOtherJobs(app, flags);
  app.set_version_flag("--version", absl::StrFormat("faultline-explore %s", kBuildId));
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    app.exit(done);
    return ExitCode::kClean;
  } catch (const CLI::ParseError& error) {
    return Refuse(error.what());
  }
  if (const std::string clash = Clash(app, flags); !clash.empty()) return Refuse(clash);
  if (app.count("--replay") == 0) {
    if (const std::string why = WhyNotWanted(flags.wanted); !why.empty()) return Refuse(why);
  }
  ExploreOptions options = Resolve(app, flags);
  if (const std::string why = NothingToDo(options, flags); !why.empty()) return Refuse(why);
  return options;
}

}  // namespace faultline
