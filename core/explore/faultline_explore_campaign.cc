// SPDX-License-Identifier: Apache-2.0
//
// Campaigns as the tool runs them; see faultline_explore_campaign.h. A cell that was cut short
// because the time was up is not finished: it is neither counted nor written to the state file, and
// the next run begins it anew.
#include "core/explore/faultline_explore_campaign.h"

#include <faultline_build_id.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "core/explore/campaign.h"
#include "core/explore/faultline_explore_json.h"
#include "core/explore/faultline_explore_output.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr size_t kMostViolations = 5;  ///< then the campaign ends: its reader has enough to do
constexpr uint64_t kNoCap = UINT64_MAX;

/// One search within a cell.
struct Stage {
  uint32_t bound;
  uint64_t max_schedules;
};

std::vector<Stage> StagesOf(const ExploreOptions& options) {
  if (options.campaign.kind == CampaignKind::kLong) return {{2, options.search.max_schedules}};
  return {{1, kNoCap}, {2, options.search.max_schedules}};
}

const char* Outcome(const SearchResult& result) {
  if (result.finding.has_value()) return "VIOLATION";
  return result.complete ? "complete" : "capped";
}

class Campaign {
 public:
  Campaign(const ExploreOptions& options, std::vector<Configuration> cells)
      : options_(options), stages_(StagesOf(options)), cells_(std::move(cells)) {}

  ExitCode Run(CampaignState* state) {
    SkipDone(state);
    Begin();
    for (const Configuration& cell : cells_) {
      if (IsOver() || violations_ == kMostViolations) break;
      if (!RunCell(cell)) break;
      if (state != nullptr && violations_ == 0 && !state->Append(cell, last_)) {
        absl::FPrintF(stderr, "faultline-explore: --state: '%s' cannot be written\n",
                      options_.campaign.state_file);
        return ExitCode::kUsage;
      }
    }
    End();
    return violations_ == 0 ? ExitCode::kClean : ExitCode::kViolation;
  }

 private:
  [[nodiscard]] bool IsOver() const {
    return watch_.Seconds() >= static_cast<double>(options_.campaign.seconds);
  }
  [[nodiscard]] bool is_long() const { return options_.campaign.kind == CampaignKind::kLong; }
  [[nodiscard]] const char* name() const { return is_long() ? "long" : "pairwise"; }

  void SkipDone(const CampaignState* state) {
    if (state == nullptr) return;
    const size_t all = cells_.size();
    std::erase_if(cells_, [&](const Configuration& cell) { return state->IsDone(cell); });
    skipped_ = all - cells_.size();
  }

  void Begin() {
    for (const Configuration& cell : cells_) {
      width_ = std::max(width_, static_cast<int>(Label(cell).size()));
    }
    json_ = Document("campaign");
    json_["campaign"] = name();
    if (!is_long()) json_["seed"] = options_.campaign.seed;
    json_["cells"] = Json::array();
    if (options_.json) return;
    if (is_long()) {
      absl::PrintF("Campaign long: %s to do, %d done before; bound 2\n",
                   Count(cells_.size(), "cell"), skipped_);
    } else {
      absl::PrintF("Campaign pairwise, seed %d: %s; bound 1 complete, bound 2 up to %d schedules\n",
                   options_.campaign.seed, Count(cells_.size(), "cell"),
                   options_.search.max_schedules);
    }
    std::fflush(stdout);
  }

  /// False if the time was up before its end.
  bool RunCell(const Configuration& cell) {
    std::string row = absl::StrFormat("%-*s", width_, Label(cell));
    Json searches = Json::array();
    for (const Stage& stage : stages_) {
      last_ = SearchCell(cell, stage);
      schedules_ += last_.schedules;
      const bool was_cut =
          !last_.complete && !last_.finding && last_.schedules < stage.max_schedules;
      if (was_cut) return false;
      absl::StrAppendFormat(&row, "  bound %d: %8d schedules, %-9s", stage.bound, last_.schedules,
                            Outcome(last_));
      searches.push_back({{"bound", stage.bound},
                          {"schedules", last_.schedules},
                          {"complete", last_.complete},
                          {"finding", JsonOf(last_.finding)}});
      ++outcomes_[last_.complete ? 0 : 1];
      if (last_.finding.has_value()) break;
    }
    Json entry = JsonOf(cell, Mutant::kNone);
    entry["searches"] = std::move(searches);
    json_["cells"].push_back(std::move(entry));
    if (!options_.json) PrintRow(row);
    ++done_;
    if (last_.finding.has_value()) ++violations_;
    return true;
  }

  SearchResult SearchCell(const Configuration& cell, const Stage& stage) {
    ProgressLine progress(absl::StrFormat("%d/%d %s", done_ + 1, cells_.size(), Label(cell)));
    SearchOptions search;
    search.bound = stage.bound;
    search.max_schedules = stage.max_schedules;
    search.progress = [&progress](uint64_t schedules) { progress.Update(schedules); };
    search.give_up = [this] { return IsOver(); };
    return Explore(SubjectOf(*cell.scenario, Mutant::kNone, cell.options), search);
  }

  void PrintRow(const std::string& row) const {
    absl::PrintF("%s\n", row);
    if (last_.finding.has_value()) {
      absl::PrintF("\n%s\nTo repeat it:\n%s\n\n", last_.finding->table,
                   ReplayCommand(last_.finding->replay));
    }
    std::fflush(stdout);
  }

  void End() {
    const size_t left = cells_.size() - done_;
    if (options_.json) {
      json_["done"] = done_;
      json_["done_before"] = skipped_;
      json_["left"] = left;
      json_["schedules"] = schedules_;
      json_["seconds"] = watch_.Seconds();
      json_["violations"] = violations_;
      absl::PrintF("%s", Text(json_));
      return;
    }
    absl::PrintF(
        "\n%d of %s, %d schedules in %.0f s: %s; sequentially consistent, %d searches complete, %d "
        "capped\n",
        done_, Count(cells_.size(), "cell"), schedules_, watch_.Seconds(),
        violations_ == 0 ? "no violation" : Count(violations_, "violation"), outcomes_[0],
        outcomes_[1]);
    if (left != 0) {
      absl::PrintF(
          "%s: %s left, from '%s' on\n",
          violations_ == kMostViolations ? "Ended after that many violations" : "The time was up",
          Count(left, "cell"), Label(cells_[done_]));
    }
  }

  const ExploreOptions& options_;
  const std::vector<Stage> stages_;
  std::vector<Configuration> cells_;
  const Stopwatch watch_;
  int width_ = 8;
  size_t skipped_ = 0;
  size_t done_ = 0;
  size_t violations_ = 0;
  uint64_t schedules_ = 0;
  size_t outcomes_[2] = {0, 0};  ///< searches that were complete, and that were not
  SearchResult last_;
  Json json_;
};

}  // namespace

ExitCode RunCampaign(const ExploreOptions& options) {
  const ExploreOptions::Campaign& wanted = options.campaign;
  if (wanted.kind == CampaignKind::kPairwise) {
    return Campaign(options, PairwiseCells(wanted.scenarios, wanted.seed)).Run(nullptr);
  }
  const std::string what =
      absl::StrFormat("long, at most %d schedules", options.search.max_schedules);
  auto state = CampaignState::Open(wanted.state_file, kBuildId, what);
  if (const auto* problem = std::get_if<std::string>(&state)) {
    absl::FPrintF(stderr, "faultline-explore: --state: %s\n", *problem);
    return ExitCode::kUsage;
  }
  return Campaign(options, PairCells(wanted.scenarios)).Run(&std::get<CampaignState>(state));
}

}  // namespace faultline
