// SPDX-License-Identifier: Apache-2.0
//
// Campaigns: many searches whose list is worked out rather than written down. `PairwiseCells` is a
// covering array (Cohen et al., "The AETG system", 1997): every value of every factor meets every
// value of every other factor that it may be combined with, in a fraction of the cells that all
// combinations would take. `PairCells` is every scenario of two tasks under every scheme.
//
// `CampaignState` is what a long campaign has done, in a file that it goes on from.
// Guarantee: given the seed, the cells and their order are always the same; a file that was written
// by another build, or is no such file, is refused and not touched.
#pragma once

#include <cstdint>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/build.h"
#include "core/explore/scenario.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The factors: scenario, scheme, pgtable_alloc, pte_table, pgtable_free, guard. Scenarios that
/// take no options are left out. Whether RCU sections are counted follows from pgtable_alloc,
/// whether spf_* schemes put in upper tables is drawn.
[[nodiscard]] std::vector<Configuration> PairwiseCells(std::span<const Scenario* const> scenarios,
                                                       uint64_t seed);

/// Of the scenarios those of two tasks, each under every scheme with its defaults.
[[nodiscard]] std::vector<Configuration> PairCells(std::span<const Scenario* const> scenarios);

/// Every combination of options that IsAllowed, as PairwiseCells draws from.
[[nodiscard]] std::vector<FaultOptions> AllowedOptions();

/// "scenario scheme policies": one cell's name, unique within a campaign.
[[nodiscard]] std::string CellName(const Configuration& cell);

class CampaignState {
 public:
  /// Reads the file, or begins it if it is not there or empty. A sentence if it cannot be used:
  /// `build` and `what` have to be those that it was begun with.
  [[nodiscard]] static std::variant<CampaignState, std::string> Open(const std::string& path,
                                                                     std::string_view build,
                                                                     std::string_view what);

  [[nodiscard]] bool IsDone(const Configuration& cell) const {
    return done_.contains(CellName(cell));
  }
  [[nodiscard]] size_t done() const { return done_.size(); }

  /// Appends a finished cell. False if it could not be written.
  [[nodiscard]] bool Append(const Configuration& cell, const SearchResult& result);

 private:
  CampaignState(std::set<std::string> done, std::ofstream file)
      : done_(std::move(done)), file_(std::move(file)) {}

  std::set<std::string> done_;
  std::ofstream file_;
};

}  // namespace faultline
