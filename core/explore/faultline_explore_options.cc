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

Exit codes:
  0  nothing was found; or: the replay ended in a violation again, which is what it recorded;
     or: every mutant of the table was found
  1  a search found a violation
  2  wrong usage: unknown scenario, mutant, value or combination; nothing ran
  3  the replay diverged, or ended without a violation; or: a mutant of the table was not found
  4  the replay string was refused: cut, changed, of another version, or not for the --scenario,
     --scheme, --policy or --mutant that was given; nothing ran

Examples:
  faultline-explore                                   every scenario, bound 2
  faultline-explore --scenario=rwsem --bound=3        one, searched deeper
  faultline-explore --mutant=abba_order               scenarios that must find that planted bug
  faultline-explore --strategy=pct --depth=4 --seed=7 --schedules=100000
  faultline-explore --replay=fl1:...                  repeats a finding and prints its steps
  faultline-explore --table=mutants                   how hard each planted bug is to find
)";

constexpr uint64_t kPctSchedules = 100'000;

/// The command line as typed.
struct Flags {
  bool list = false;
  bool json = false;
  std::vector<std::string> scenarios;
  std::string scheme = "none";
  std::string policy = "none";
  std::string mutant = "none";
  std::string strategy = "dfs";
  std::string pruning = "bpor";
  std::string table;
  std::string replay;
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

void AddWhatToRun(CLI::App& app, Flags& flags) {
  app.add_option("--scenario", flags.scenarios, "Only this scenario; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->take_all()
      ->check(OneOf(ScenarioNames()));
  app.add_option("--scheme", flags.scheme, "Locking scheme: none")
      ->type_name("NAME")
      ->check(OneOf(SchemeNames()));
  app.add_option("--policy", flags.policy, "Policy: none")
      ->type_name("NAME")
      ->check(OneOf(PolicyNames()));
  app.add_option("--mutant", flags.mutant,
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
  app.add_option("--seed", flags.seed, "Seed (pct); default 1")
      ->type_name("N")
      ->check(Between(0, std::numeric_limits<uint64_t>::max()));
  app.add_option("--schedules", flags.schedules,
                 "Schedules per search, at most; default 1000000, pct 100000")
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
       {FirstClash(app, "--list", {"--replay", "--table", "--scenario", "--mutant"}, ""),
        FirstClash(app, "--list", search, ""), FirstClash(app, "--replay", {"--table"}, ""),
        FirstClash(app, "--replay", search, ", whose string holds the schedule"),
        FirstClash(app, "--table", {"--strategy", "--depth", "--seed"},
                   ", which searches depth first")}) {
    if (!clash.empty()) return clash;
  }
  const bool pct = flags.strategy == "pct";
  for (const char* name : {"--depth", "--seed"}) {
    if (!pct && app.count(name) != 0) return absl::StrCat(name, " is for --strategy=pct only");
  }
  for (const char* name : {"--bound", "--pruning"}) {
    if (pct && app.count(name) != 0) return absl::StrCat(name, " is for --strategy=dfs only");
  }
  if (app.count("--replay") != 0 && flags.scenarios.size() > 1) {
    return absl::StrCat("--scenario was given ", flags.scenarios.size(),
                        " times; next to --replay one is allowed");
  }
  return {};
}

std::optional<std::string> IfGiven(const CLI::App& app, const char* flag,
                                   const std::string& value) {
  return app.count(flag) != 0 ? std::optional(value) : std::nullopt;
}

bool Names(const Scenario& scenario, Mutant mutant) {
  return std::find(scenario.finds.begin(), scenario.finds.end(), mutant) != scenario.finds.end();
}

/// The scenarios asked for; those that must find the mutant if none was named.
std::vector<const Scenario*> SelectScenarios(const Flags& flags, Mutant mutant) {
  std::vector<const Scenario*> selected;
  for (const Scenario& scenario : AllScenarios()) {
    const bool named = std::find(flags.scenarios.begin(), flags.scenarios.end(), scenario.name) !=
                       flags.scenarios.end();
    const bool fits = mutant == Mutant::kNone || Names(scenario, mutant);
    if (flags.scenarios.empty() ? fits : named) selected.push_back(&scenario);
  }
  return selected;
}

/// Every mutant, or that one, with those of the scenarios that must find it.
std::vector<ExploreOptions::TableRow> SelectTableRows(const std::vector<const Scenario*>& scenarios,
                                                      Mutant only) {
  std::vector<ExploreOptions::TableRow> rows;
  for (const Mutant mutant : AllMutants()) {
    if (only != Mutant::kNone && mutant != only) continue;
    for (const Scenario* scenario : scenarios) {
      if (Names(*scenario, mutant)) rows.push_back({mutant, scenario});
    }
  }
  return rows;
}

ExploreMode ModeOf(const CLI::App& app) {
  if (app.count("--list") != 0) return ExploreMode::kList;
  if (app.count("--replay") != 0) return ExploreMode::kReplay;
  if (app.count("--table") != 0) return ExploreMode::kMutantTable;
  return ExploreMode::kSearch;
}

ExploreOptions Resolve(const CLI::App& app, const Flags& flags) {
  ExploreOptions options;
  options.mode = ModeOf(app);
  options.json = flags.json;
  options.mutant = MutantFromName(flags.mutant).value_or(Mutant::kNone);
  options.scenarios = SelectScenarios(flags, options.mutant);
  options.table_rows = SelectTableRows(options.scenarios, options.mutant);
  options.search = {
      .strategy = flags.strategy == "pct" ? Strategy::kPct : Strategy::kDepthFirst,
      .pruning = flags.pruning == "none" ? Pruning::kNone : Pruning::kBpor,
      .bound = flags.bound,
      .pct_depth = flags.depth,
      .seed = flags.seed,
      .max_schedules = flags.schedules,
      .progress = nullptr,
  };
  if (options.mode == ExploreMode::kMutantTable && app.count("--bound") == 0) {
    options.search.bound = 3;
  }
  if (options.search.strategy == Strategy::kPct && app.count("--schedules") == 0) {
    options.search.max_schedules = kPctSchedules;  // it would never be done otherwise
  }
  options.replay = flags.replay;
  options.times = flags.times;
  if (!flags.scenarios.empty()) options.scenario = flags.scenarios.front();
  options.scheme = IfGiven(app, "--scheme", flags.scheme);
  options.policies = IfGiven(app, "--policy", flags.policy);
  options.mutant_name = IfGiven(app, "--mutant", flags.mutant);
  return options;
}

ExitCode Refuse(const std::string& why) {
  std::cerr << "faultline-explore: " << why << "\nSee faultline-explore --help.\n";
  return ExitCode::kUsage;
}

}  // namespace

std::vector<std::string> SchemeNames() { return {"none"}; }
std::vector<std::string> PolicyNames() { return {"none"}; }

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
  ExploreOptions options = Resolve(app, flags);
  if (options.scenarios.empty()) {
    return Refuse(absl::StrCat(
        "--mutant: no scenario must find '", flags.mutant,
        "'; name one with --scenario, allowed: ", absl::StrJoin(ScenarioNames(), ", ")));
  }
  if (options.mode == ExploreMode::kMutantTable && options.table_rows.empty()) {
    return Refuse("--table: none of these scenarios must find any of these mutants; see --list");
  }
  return options;
}

}  // namespace faultline
