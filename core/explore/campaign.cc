// SPDX-License-Identifier: Apache-2.0
//
// The covering array and the state file of campaign.h. The array is built greedily: a cell begins
// with a pair that no cell has yet, is completed at random in some ways, and the completion that
// has most new pairs is taken. What IsAllowed excludes is never drawn: completions are picked from
// the list of all allowed options.
#include "core/explore/campaign.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <random>
#include <sstream>

#include <absl/strings/str_format.h>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Values of a cell's factors: scenario, then those of its options.
constexpr size_t kFactors = 6;
using Values = std::array<uint32_t, kFactors>;

Values ValuesOf(size_t scenario, const FaultOptions& options) {
  return {static_cast<uint32_t>(scenario),
          static_cast<uint32_t>(options.scheme),
          static_cast<uint32_t>(options.pgtable_alloc),
          static_cast<uint32_t>(options.pte_table),
          static_cast<uint32_t>(options.pgtable_free),
          static_cast<uint32_t>(options.guard)};
}

/// Two factors with their values.
struct Pair {
  uint32_t first_factor;
  uint32_t first;
  uint32_t second_factor;
  uint32_t second;
  friend auto operator<=>(const Pair&, const Pair&) = default;
};

template <class Visit>
void ForEachPair(const Values& values, const Visit& visit) {
  for (uint32_t i = 0; i < kFactors; ++i) {
    for (uint32_t j = i + 1; j < kFactors; ++j) visit(Pair{i, values[i], j, values[j]});
  }
}

bool Has(const Values& values, const Pair& pair) {
  return values[pair.first_factor] == pair.first && values[pair.second_factor] == pair.second;
}

/// Builds the array cell by cell.
class CoveringArray {
 public:
  CoveringArray(std::span<const Scenario* const> scenarios, uint64_t seed)
      : scenarios_(scenarios), options_(AllowedOptions()), random_(seed) {
    for (size_t s = 0; s < scenarios_.size(); ++s) {
      for (const FaultOptions& options : options_) {
        ForEachPair(ValuesOf(s, options), [&](const Pair& pair) { missing_.insert(pair); });
      }
    }
  }

  [[nodiscard]] std::vector<Configuration> Build() {
    std::vector<Configuration> cells;
    while (!missing_.empty()) cells.push_back(NextCell());
    // So that a campaign that is cut short has seen something of everything.
    std::shuffle(cells.begin(), cells.end(), random_);
    return cells;
  }

 private:
  static constexpr int kTries = 24;

  Configuration NextCell() {
    const Pair wanted = *missing_.begin();
    const auto has_wanted = [&](const FaultOptions& options) {
      Values values = ValuesOf(0, options);
      if (wanted.first_factor == 0) values[0] = wanted.first;
      return Has(values, wanted);
    };
    std::vector<FaultOptions> possible;
    std::copy_if(options_.begin(), options_.end(), std::back_inserter(possible), has_wanted);
    size_t best_scenario = 0;
    FaultOptions best;
    size_t best_new = 0;
    for (int i = 0; i < kTries; ++i) {
      const size_t scenario = wanted.first_factor == 0 ? wanted.first : Draw(scenarios_.size());
      const FaultOptions& options = possible[Draw(possible.size())];
      const size_t found = CountMissing(ValuesOf(scenario, options));
      if (found <= best_new) continue;  // the first has `wanted` at least
      best_scenario = scenario;
      best = options;
      best_new = found;
    }
    ForEachPair(ValuesOf(best_scenario, best), [&](const Pair& pair) { missing_.erase(pair); });
    return {.scenario = scenarios_[best_scenario], .options = best};
  }

  size_t CountMissing(const Values& values) const {
    size_t count = 0;
    ForEachPair(values, [&](const Pair& pair) { count += missing_.count(pair); });
    return count;
  }

  // Not std::uniform_int_distribution, whose results differ between libraries.
  size_t Draw(size_t below) { return static_cast<size_t>(random_() % below); }

  const std::span<const Scenario* const> scenarios_;
  const std::vector<FaultOptions> options_;
  std::mt19937_64 random_;
  std::set<Pair> missing_;
};

std::vector<const Scenario*> WithOptions(std::span<const Scenario* const> scenarios) {
  std::vector<const Scenario*> found;
  for (const Scenario* scenario : scenarios) {
    if (scenario->takes_fault_options()) found.push_back(scenario);
  }
  return found;
}

}  // namespace

std::vector<FaultOptions> AllowedOptions() {
  std::vector<FaultOptions> all;
  for (const SchemeName scheme : AllSchemes()) {
    for (uint32_t alloc = 0; alloc < static_cast<uint32_t>(TableAlloc::kCount); ++alloc) {
      for (uint32_t rest = 0; rest < 2u * 2u * 2u * 3u; ++rest) {
        FaultOptions options = {.scheme = scheme,
                                .pgtable_alloc = static_cast<TableAlloc>(alloc),
                                .pte_table = static_cast<PteTable>(rest % 2),
                                .pgtable_free = static_cast<TableFree>(rest / 2 % 2),
                                .guard = static_cast<FaultGuard>(rest / 8),
                                .spf_wire_tables = rest / 4 % 2 == 1};
        options.depth_known = options.pgtable_alloc == TableAlloc::kRcuImpliesNowait;
        if (IsAllowed(options)) all.push_back(options);
      }
    }
  }
  return all;
}

std::vector<Configuration> PairwiseCells(std::span<const Scenario* const> scenarios,
                                         uint64_t seed) {
  const std::vector<const Scenario*> usable = WithOptions(scenarios);
  if (usable.empty()) return {};
  return CoveringArray(usable, seed).Build();
}

std::vector<Configuration> PairCells(std::span<const Scenario* const> scenarios) {
  std::vector<Configuration> cells;
  for (const Scenario* scenario : WithOptions(scenarios)) {
    if (scenario->tasks != 2) continue;
    for (const FaultOptions& options : DefaultConfigurations(*scenario)) {
      cells.push_back({.scenario = scenario, .options = options});
    }
  }
  return cells;
}

std::string CellName(const Configuration& cell) {
  return absl::StrFormat("%s %s %s", cell.scenario->name, Name(cell.options.scheme),
                         PoliciesOf(cell.options));
}

// -- The state file -------------------------------------------------------------------------------

namespace {

std::string WholeFile(const std::string& path) {
  std::ostringstream text;
  if (std::ifstream file(path); file.is_open() && file.peek() != EOF) text << file.rdbuf();
  return text.str();
}

/// The names of the cells in the lines "scenario scheme policies: ..." behind the first one, or
/// what is wrong with them.
std::variant<std::set<std::string>, std::string> CellsIn(const std::string& text) {
  std::set<std::string> cells;
  for (size_t at = text.find('\n') + 1; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return absl::StrFormat("there is no ':' in '%s'", line);
    cells.insert(line.substr(0, colon));
    at = end + 1;
  }
  return cells;
}

}  // namespace

std::variant<CampaignState, std::string> CampaignState::Open(const std::string& path,
                                                             std::string_view build,
                                                             std::string_view what) {
  const std::string head =
      absl::StrFormat("faultline-explore campaign %s, build %s\n", what, build);
  std::string text = WholeFile(path);
  const std::string begin = text.substr(0, head.size());
  if (head.substr(0, begin.size()) != begin) {
    return absl::StrFormat("'%s' is of something else: it begins with '%s', not with '%s'", path,
                           text.substr(0, text.find('\n')), head.substr(0, head.size() - 1));
  }
  // A writer that was stopped may have left a line without its end: that cell is done again.
  text.resize(text.rfind('\n') + 1);  // npos + 1: nothing is left
  if (text.empty()) text = head;
  auto cells = CellsIn(text);
  if (const auto* problem = std::get_if<std::string>(&cells)) {
    return absl::StrFormat("'%s' is damaged: %s", path, *problem);
  }
  std::ofstream file(path, std::ios::trunc);
  file << text << std::flush;
  if (!file.good()) return absl::StrFormat("'%s' cannot be written", path);
  return CampaignState(std::get<std::set<std::string>>(std::move(cells)), std::move(file));
}

bool CampaignState::Append(const Configuration& cell, const SearchResult& result) {
  file_ << absl::StreamFormat("%s: %d schedules, %s\n", CellName(cell), result.schedules,
                              result.complete ? "complete" : "capped")
        << std::flush;
  done_.insert(CellName(cell));
  return file_.good();
}

}  // namespace faultline
