// SPDX-License-Identifier: Apache-2.0
//
// Implementation of faultline_explore_output.h.
#include "core/explore/faultline_explore_output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "core/explore/faultline_explore_json.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr const char* kSearchRow = "%-*s %12s %10s %8s  %s\n";
constexpr const char* kMutantRow = "%-*s  %-*s  %-*s  %11s %12s %12s  %s\n";

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

// -- Searches -------------------------------------------------------------------------------------

SearchTable::SearchTable(const ExploreOptions& options) : options_(options) {
  for (const Configuration& search : options.searches) {
    width_ = std::max(width_, static_cast<int>(Label(search).size()));
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
  absl::PrintF(kSearchRow, width_, Label(report.configuration), absl::StrCat(result.schedules),
               absl::StrFormat("%.0f", PerSecond(result.schedules, report.seconds)),
               absl::StrCat(result.longest), outcome);
  if (finding.has_value()) {
    absl::PrintF("\n%s\nTo repeat it:\n%s\n", finding->table, ReplayCommand(finding->replay));
    header_due_ = true;
  }
  std::fflush(stdout);
}

namespace {

/// "3 scenarios", "24 searches of 3 scenarios".
std::string Searches(const std::vector<SearchReport>& reports) {
  std::set<const Scenario*> scenarios;
  for (const SearchReport& report : reports) scenarios.insert(report.configuration.scenario);
  std::string what = Count(scenarios.size(), "scenario");
  if (reports.size() == scenarios.size()) return what;
  return absl::StrFormat("%d searches of %s", reports.size(), what);
}

}  // namespace

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
    absl::PrintF("\n%s%s: %s\n", Searches(reports), mutant, sum.Summary(options_.search));
  } else {
    absl::PrintF("\n%s%s: %d with a violation\n", Searches(reports), mutant, violations);
  }
}

std::string SearchJson(const ExploreOptions& options, const std::vector<SearchReport>& reports) {
  Json json = Document("search");
  json["options"] = JsonOf(options.search);
  json["results"] = Json::array();
  for (const SearchReport& report : reports) {
    const SearchResult& result = report.result;
    Json entry = JsonOf(report.configuration, options.mutant);
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
  for (const MutantRow& row : options.table_rows) {
    const Configuration& where = row.configuration;
    mutant_width_ = std::max(mutant_width_, static_cast<int>(Name(row.mutant).size()));
    scenario_width_ = std::max(scenario_width_, static_cast<int>(where.scenario->name.size()));
    scheme_width_ = std::max(scheme_width_, static_cast<int>(SchemeLabel(where).size()));
  }
  absl::PrintF(kMutantRow, mutant_width_, "mutant", scenario_width_, "scenario", scheme_width_,
               "scheme", "preemptions", "schedules", "all bounds", "found as");
}

void MutantTable::Row(const MutantReport& report) const {
  const std::optional<Finding>& finding = report.result.finding;
  const std::string preemptions =
      !finding.has_value() ? absl::StrCat("> ", report.bound)
                           : absl::StrCat(report.lower_complete ? "" : "<= ", report.bound);
  const std::string outcome = finding.has_value()      ? std::string(Name(finding->violation.kind))
                              : report.result.complete ? "NOT FOUND, complete"
                                                       : "NOT FOUND, capped";
  absl::PrintF(kMutantRow, mutant_width_, Name(report.row.mutant), scenario_width_,
               report.row.configuration.scenario->name, scheme_width_,
               SchemeLabel(report.row.configuration), preemptions,
               absl::StrCat(report.result.schedules), absl::StrCat(report.schedules_total),
               outcome);
  std::fflush(stdout);
}

std::string MutantTableJson(const ExploreOptions& options,
                            const std::vector<MutantReport>& reports) {
  Json json = Document("mutants");
  json["options"] = JsonOf(options.search);
  json["rows"] = Json::array();
  for (const MutantReport& report : reports) {
    Json row = JsonOf(report.row.configuration, report.row.mutant);
    row.update({{"found", report.result.finding.has_value()},
                {"bound", report.bound},
                {"smaller_bounds_complete", report.lower_complete},
                {"schedules", report.result.schedules},
                {"schedules_of_all_bounds", report.schedules_total},
                {"seconds", report.seconds},
                {"finding", JsonOf(report.result.finding)}});
    json["rows"].push_back(std::move(row));
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
