// SPDX-License-Identifier: Apache-2.0
//
// faultline-explore: the explorer's command line. Searches scenarios, repeats findings, and says
// how hard each planted bug is to find. --help documents flags and exit codes.
//
// Guarantee: what is found depends on flags and build only, never on time; whatever is printed as a
// replay command repeats what was found.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "core/explore/faultline_explore_campaign.h"
#include "core/explore/faultline_explore_json.h"
#include "core/explore/faultline_explore_options.h"
#include "core/explore/faultline_explore_output.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

ExitCode List(const ExploreOptions& options) {
  if (options.json) {
    absl::PrintF("%s", ListJson());
  } else {
    PrintList();
  }
  return ExitCode::kClean;
}

SearchReport SearchOne(const Configuration& configuration, Mutant mutant, SearchOptions search) {
  const Stopwatch watch;
  ProgressLine progress(Label(configuration));
  search.progress = [&progress](uint64_t schedules) { progress.Update(schedules); };
  const SearchSubject subject = SubjectOf(*configuration.scenario, mutant, configuration.options);
  SearchResult result = Explore(subject, search);
  return {.configuration = configuration, .result = std::move(result), .seconds = watch.Seconds()};
}

ExitCode Search(const ExploreOptions& options) {
  std::vector<SearchReport> reports;
  SearchTable table(options);
  bool found = false;
  for (const Configuration& configuration : options.searches) {
    reports.push_back(SearchOne(configuration, options.mutant, options.search));
    found = found || reports.back().result.finding.has_value();
    if (!options.json) table.Row(reports.back());
  }
  if (options.json) {
    absl::PrintF("%s", SearchJson(options, reports));
  } else {
    table.Total(reports);
  }
  return found ? ExitCode::kViolation : ExitCode::kClean;
}

/// Raises the bound from 0 until the mutant is found.
MutantReport SearchForMutant(const MutantRow& row, const SearchOptions& options) {
  MutantReport report{.row = row};
  for (uint32_t bound = 0; bound <= options.bound; ++bound) {
    if (bound > 0 && !report.result.complete) report.lower_complete = false;
    SearchOptions search = options;
    search.bound = bound;
    SearchReport found = SearchOne(row.configuration, row.mutant, search);
    report.bound = bound;
    report.seconds += found.seconds;
    report.schedules_total += found.result.schedules;
    report.result = std::move(found.result);
    if (report.result.finding.has_value()) break;
  }
  return report;
}

ExitCode TableOfMutants(const ExploreOptions& options) {
  std::vector<MutantReport> reports;
  std::optional<MutantTable> table;
  if (!options.json) table.emplace(options);
  bool all_found = true;
  for (const MutantRow& row : options.table_rows) {
    reports.push_back(SearchForMutant(row, options.search));
    all_found = all_found && reports.back().result.finding.has_value();
    if (table.has_value()) table->Row(reports.back());
  }
  if (options.json) absl::PrintF("%s", MutantTableJson(options, reports));
  return all_found ? ExitCode::kClean : ExitCode::kUnexpected;
}

/// The policies of a replay as its string spells them, given what --policy says about its scheme.
std::string SpelledPolicies(const std::string& words, const std::string& scheme) {
  const auto name = SchemeFromName(scheme);
  if (!name.has_value()) return words;
  FaultOptions options = DefaultsOf(*name);
  return ParsePolicies(words, options).has_value() ? words : PoliciesOf(options);
}

/// Why the replay does not fit the flags or this build; empty if it does.
std::string ReplayRefusal(const ExploreOptions& options, const Replay& replay) {
  const RunIdentity& recorded = replay.identity;
  const RunIdentity wanted = {.scenario = options.scenario.value_or(recorded.scenario),
                              .scheme = options.scheme.value_or(recorded.scheme),
                              .policies = options.policies.has_value()
                                              ? SpelledPolicies(*options.policies, recorded.scheme)
                                              : recorded.policies,
                              .mutant = options.mutant_name.value_or(recorded.mutant)};
  if (const auto mismatch = ReplayMismatch(replay, wanted)) return *mismatch;
  const Scenario* const scenario = FindScenario(recorded.scenario);
  if (scenario == nullptr) {
    return absl::StrCat("replay string: this build has no scenario '", recorded.scenario,
                        "'; see --list");
  }
  if (!MutantFromName(recorded.mutant).has_value()) {
    return absl::StrCat("replay string: this build has no mutant '", recorded.mutant,
                        "'; see --list");
  }
  const auto configuration = RecordedOptions(*scenario, recorded);
  if (const auto* problem = std::get_if<std::string>(&configuration)) {
    return absl::StrCat("replay string: ", *problem);
  }
  return {};
}

ExitCode Refuse(const std::string& why) {
  absl::FPrintF(stderr, "faultline-explore: --replay: %s\n", why);
  return ExitCode::kRefused;
}

ExitCode ReplayOne(const ExploreOptions& options) {
  const auto decoded = DecodeReplay(options.replay);
  if (const auto* problem = std::get_if<std::string>(&decoded)) return Refuse(*problem);
  const auto& replay = std::get<Replay>(decoded);
  if (const std::string why = ReplayRefusal(options, replay); !why.empty()) return Refuse(why);

  const Scenario& scenario = *FindScenario(replay.identity.scenario);
  const SearchSubject subject =
      SubjectOf(scenario, *MutantFromName(replay.identity.mutant),
                std::get<FaultOptions>(RecordedOptions(scenario, replay.identity)));
  const ReplayReport report = {.identity = replay.identity,
                               .steps = replay.choices.size(),
                               .times = options.times,
                               .result = ReplayRun(subject, replay.choices, options.times)};
  if (options.json) {
    absl::PrintF("%s", ReplayJson(report));
  } else {
    PrintReplay(report);
  }
  return report.Reproduced() ? ExitCode::kClean : ExitCode::kUnexpected;
}

ExitCode Run(const ExploreOptions& options) {
  switch (options.mode) {
    case ExploreMode::kList:
      return List(options);
    case ExploreMode::kReplay:
      return ReplayOne(options);
    case ExploreMode::kMutantTable:
      return TableOfMutants(options);
    case ExploreMode::kCampaign:
      return RunCampaign(options);
    case ExploreMode::kSearch:
      break;
  }
  return Search(options);
}

ExitCode Main(int argc, char** argv) {
  const auto parsed = ParseOptions(argc, argv);
  if (const auto* code = std::get_if<ExitCode>(&parsed)) return *code;
  return Run(std::get<ExploreOptions>(parsed));
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) { return static_cast<int>(faultline::Main(argc, argv)); }
