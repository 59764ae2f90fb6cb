// SPDX-License-Identifier: Apache-2.0
//
// Implementation of faultline_explore_output.h.
#include "core/explore/faultline_explore_output.h"

#include <faultline_build_id.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>
#include <nlohmann/json.hpp>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

// Keys in the order in which they are written here.
using Json = nlohmann::ordered_json;

constexpr const char* kSearchRow = "%-*s %12s %10s %8s  %s\n";
constexpr const char* kMutantRow = "%-*s  %-*s  %11s %12s %12s  %s\n";

double PerSecond(uint64_t schedules, double seconds) {
  return seconds > 0 ? static_cast<double>(schedules) / seconds : 0;
}

std::string ReplayCommand(std::string_view replay) {
  return absl::StrFormat("faultline-explore --replay=%s", replay);
}

/// "1 scenario", "2 scenarios".
std::string Count(uint64_t number, std::string_view what) {
  return absl::StrFormat("%d %s%s", number, what, number == 1 ? "" : "s");
}

std::string MutantList(const Scenario& scenario) {
  return absl::StrJoin(scenario.finds, ", ",
                       [](std::string* out, Mutant mutant) { out->append(Name(mutant)); });
}

// -- JSON -----------------------------------------------------------------------------------------

Json Document(std::string_view kind) {
  return {{"tool", "faultline-explore"}, {"build", kBuildId}, {"kind", kind}};
}

std::string Text(const Json& json) { return json.dump(2) + "\n"; }

Json JsonOf(const Violation& violation) {
  Json json = {{"kind", Name(violation.kind)}, {"message", violation.message}};
  json["fiber"] = violation.fiber == kNoFiber ? Json(nullptr) : Json(violation.fiber);
  return json;
}

Json JsonOf(const SearchOptions& options) {
  Json json;
  if (options.strategy == Strategy::kPct) {
    json["strategy"] = "pct";
    json["depth"] = options.pct_depth;
    json["seed"] = options.seed;
  } else {
    json["strategy"] = "dfs";
    json["bound"] = options.bound;
    json["pruning"] = options.pruning == Pruning::kNone ? "none" : "bpor";
  }
  json["schedules"] = options.max_schedules;
  return json;
}

Json JsonOf(const std::optional<Finding>& finding) {
  if (!finding.has_value()) return nullptr;
  return {{"violation", JsonOf(finding->violation)},
          {"schedule", finding->schedule},
          {"preemptions", finding->preemptions},
          {"table", finding->table},
          {"replay", finding->replay},
          {"command", ReplayCommand(finding->replay)}};
}

Json JsonOf(const RunIdentity& identity) {
  return {{"scenario", identity.scenario},
          {"scheme", identity.scheme},
          {"policies", identity.policies},
          {"mutant", identity.mutant}};
}

}  // namespace

// -- Progress -------------------------------------------------------------------------------------

ProgressLine::ProgressLine(std::string label)
    : on_terminal_(isatty(STDERR_FILENO) != 0), label_(std::move(label)) {}

ProgressLine::~ProgressLine() {
  if (last_shown_ > 0) absl::FPrintF(stderr, "\r%78s\r", "");
}

void ProgressLine::Update(uint64_t schedules) {
  constexpr double kEvery = 0.1;
  if (!on_terminal_) return;
  const double now = watch_.Seconds();
  if (last_shown_ > 0 && now < last_shown_ + kEvery) return;
  last_shown_ = now;
  absl::FPrintF(
      stderr, "\r%-78s",
      absl::StrFormat("%.30s: %d schedules, %.0f/s", label_, schedules, PerSecond(schedules, now)));
  std::fflush(stderr);
}

// -- List -----------------------------------------------------------------------------------------

void PrintList() {
  size_t width = 0;
  for (const Scenario& scenario : AllScenarios()) width = std::max(width, scenario.name.size());
  for (const Mutant mutant : AllMutants()) width = std::max(width, Name(mutant).size());
  const int column = static_cast<int>(width);
  absl::PrintF("Scenarios (and the mutants that each must find):\n");
  for (const Scenario& scenario : AllScenarios()) {
    absl::PrintF("  %-*s  %s\n", column, scenario.name, scenario.description);
    if (!scenario.finds.empty()) {
      absl::PrintF("  %-*s  finds %s\n", column, "", MutantList(scenario));
    }
  }
  absl::PrintF("\nMutants:\n");
  for (const Mutant mutant : AllMutants()) {
    absl::PrintF("  %-*s  %s\n", column, Name(mutant), Description(mutant));
  }
  absl::PrintF("\nSchemes and the policies they accept:\n");
  for (const std::string& scheme : SchemeNames()) {
    absl::PrintF("  %-*s  %s\n", column, scheme, absl::StrJoin(PolicyNames(), ", "));
  }
}

std::string ListJson() {
  Json json = Document("list");
  json["scenarios"] = Json::array();
  for (const Scenario& scenario : AllScenarios()) {
    Json finds = Json::array();
    for (const Mutant mutant : scenario.finds) finds.push_back(Name(mutant));
    json["scenarios"].push_back(
        {{"name", scenario.name}, {"description", scenario.description}, {"finds", finds}});
  }
  json["mutants"] = Json::array();
  for (const Mutant mutant : AllMutants()) {
    json["mutants"].push_back({{"name", Name(mutant)}, {"description", Description(mutant)}});
  }
  json["schemes"] = Json::array();
  for (const std::string& scheme : SchemeNames()) {
    json["schemes"].push_back({{"name", scheme}, {"policies", PolicyNames()}});
  }
  return Text(json);
}

// -- Searches -------------------------------------------------------------------------------------

SearchTable::SearchTable(const ExploreOptions& options) : options_(options) {
  for (const Scenario* scenario : options.scenarios) {
    width_ = std::max(width_, static_cast<int>(scenario->name.size()));
  }
}

void SearchTable::Header() {
  if (printed_) absl::PrintF("\n");
  absl::PrintF(kSearchRow, width_, "scenario", "schedules", "per second", "longest", "result");
  header_due_ = false;
  printed_ = true;
}

void SearchTable::Row(const SearchReport& report) {
  if (header_due_) Header();
  const SearchResult& result = report.result;
  const std::optional<Finding>& finding = result.finding;
  const std::string outcome =
      finding.has_value() ? absl::StrFormat("VIOLATION: %s (%d preemptions)",
                                            Name(finding->violation.kind), finding->preemptions)
                          : absl::StrCat("no violation, ", result.complete ? "complete" : "capped");
  absl::PrintF(kSearchRow, width_, report.scenario->name, absl::StrCat(result.schedules),
               absl::StrFormat("%.0f", PerSecond(result.schedules, report.seconds)),
               absl::StrCat(result.longest), outcome);
  if (finding.has_value()) {
    absl::PrintF("\n%s\nTo repeat it:\n%s\n", finding->table, ReplayCommand(finding->replay));
    header_due_ = true;
  }
  std::fflush(stdout);
}

void SearchTable::Total(const std::vector<SearchReport>& reports) const {
  SearchResult sum;
  sum.complete = true;
  size_t violations = 0;
  for (const SearchReport& report : reports) {
    sum.schedules += report.result.schedules;
    sum.complete = sum.complete && report.result.complete;
    if (report.result.finding.has_value()) ++violations;
  }
  const std::string mutant =
      options_.mutant == Mutant::kNone ? "" : absl::StrFormat(", mutant %s", Name(options_.mutant));
  if (violations == 0) {
    absl::PrintF("\n%s%s: %s\n", Count(reports.size(), "scenario"), mutant,
                 sum.Summary(options_.search));
  } else {
    absl::PrintF("\n%s%s: %d with a violation\n", Count(reports.size(), "scenario"), mutant,
                 violations);
  }
}

std::string SearchJson(const ExploreOptions& options, const std::vector<SearchReport>& reports) {
  Json json = Document("search");
  json["options"] = JsonOf(options.search);
  json["results"] = Json::array();
  for (const SearchReport& report : reports) {
    const SearchResult& result = report.result;
    Json entry = JsonOf(SubjectOf(*report.scenario, options.mutant).identity);
    entry["mutant"] = Name(options.mutant);
    entry["schedules"] = result.schedules;
    entry["steps"] = result.steps;
    entry["longest"] = result.longest;
    entry["seconds"] = report.seconds;
    entry["schedules_per_second"] = PerSecond(result.schedules, report.seconds);
    entry["complete"] = result.complete;
    entry["summary"] = result.Summary(options.search);
    entry["finding"] = JsonOf(result.finding);
    json["results"].push_back(std::move(entry));
  }
  return Text(json);
}

// -- The table of mutants -------------------------------------------------------------------------

MutantTable::MutantTable(const ExploreOptions& options) {
  for (const ExploreOptions::TableRow& row : options.table_rows) {
    mutant_width_ = std::max(mutant_width_, static_cast<int>(Name(row.mutant).size()));
    scenario_width_ = std::max(scenario_width_, static_cast<int>(row.scenario->name.size()));
  }
  absl::PrintF(kMutantRow, mutant_width_, "mutant", scenario_width_, "scenario", "preemptions",
               "schedules", "all bounds", "found as");
}

void MutantTable::Row(const MutantReport& report) const {
  const std::optional<Finding>& finding = report.result.finding;
  const std::string preemptions =
      !finding.has_value() ? absl::StrCat("> ", report.bound)
                           : absl::StrCat(report.lower_complete ? "" : "<= ", report.bound);
  const std::string outcome = finding.has_value()      ? std::string(Name(finding->violation.kind))
                              : report.result.complete ? "NOT FOUND, complete"
                                                       : "NOT FOUND, capped";
  absl::PrintF(kMutantRow, mutant_width_, Name(report.mutant), scenario_width_,
               report.scenario->name, preemptions, absl::StrCat(report.result.schedules),
               absl::StrCat(report.schedules_total), outcome);
  std::fflush(stdout);
}

std::string MutantTableJson(const ExploreOptions& options,
                            const std::vector<MutantReport>& reports) {
  Json json = Document("mutants");
  json["options"] = JsonOf(options.search);
  json["rows"] = Json::array();
  for (const MutantReport& report : reports) {
    json["rows"].push_back({{"mutant", Name(report.mutant)},
                            {"scenario", report.scenario->name},
                            {"found", report.result.finding.has_value()},
                            {"bound", report.bound},
                            {"smaller_bounds_complete", report.lower_complete},
                            {"schedules", report.result.schedules},
                            {"schedules_of_all_bounds", report.schedules_total},
                            {"seconds", report.seconds},
                            {"finding", JsonOf(report.result.finding)}});
  }
  return Text(json);
}

// -- Replays --------------------------------------------------------------------------------------

void PrintReplay(const ReplayReport& report) {
  const RunIdentity& id = report.identity;
  absl::PrintF("scenario %s, scheme %s, policies %s, mutant %s, %d steps\n\n%s\n", id.scenario,
               id.scheme, id.policies, id.mutant, report.steps, report.result.table);
  if (!report.result.divergence.empty()) {
    absl::PrintF("Not reproduced: %s\n", report.result.divergence);
  } else if (!report.result.violation.has_value()) {
    absl::PrintF("Not reproduced: the schedule was repeated and ended without a violation\n");
  } else {
    absl::PrintF("Reproduced: %s, %d of %d times\n", Name(report.result.violation->kind),
                 report.times, report.times);
  }
}

std::string ReplayJson(const ReplayReport& report) {
  Json json = Document("replay");
  json.update(JsonOf(report.identity));
  json["steps"] = report.steps;
  json["times"] = report.times;
  json["reproduced"] = report.Reproduced();
  json["divergence"] =
      report.result.divergence.empty() ? Json(nullptr) : Json(report.result.divergence);
  json["violation"] =
      report.result.violation.has_value() ? JsonOf(*report.result.violation) : Json(nullptr);
  json["table"] = report.result.table;
  return Text(json);
}

}  // namespace faultline
