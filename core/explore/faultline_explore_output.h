// SPDX-License-Identifier: Apache-2.0
//
// What faultline-explore prints: tables for people on stdout, the same as one JSON document, and a
// progress line on stderr that exists only if stderr is a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/explore/faultline_explore_options.h"
#include "core/sync/modelled/replay.h"
#include "core/sync/modelled/search.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Stopwatch {
 public:
  [[nodiscard]] double Seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// One rewritten line about the search that is going on. Gone when it ends.
class ProgressLine {
 public:
  explicit ProgressLine(std::string label);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Shows it, though not more than some times a second; a no-op without a terminal.
  void Update(uint64_t schedules);

 private:
  const bool on_terminal_;
  const std::string label_;
  const Stopwatch watch_;
  double last_shown_ = 0;
};

/// One search of one scenario.
struct SearchReport {
  Configuration configuration;
  SearchResult result;
  double seconds;
};

/// One row of the table of mutants: the search at the smallest bound that found it.
struct MutantReport {
  MutantRow row;
  uint32_t bound = 0;            ///< the last one tried
  bool lower_complete = true;    ///< no smaller bound was cut short, so `bound` is needed
  uint64_t schedules_total = 0;  ///< of all bounds
  double seconds = 0;
  SearchResult result = {};  ///< of `bound`
};

struct ReplayReport {
  RunIdentity identity;
  size_t steps;
  int times;
  ReplayResult result;

  /// A replay string records a violation: without one the schedule was repeated, the finding not.
  [[nodiscard]] bool Reproduced() const {
    return result.divergence.empty() && result.violation.has_value();
  }
};

/// Scenarios, mutants, schemes, policies, and what goes together (faultline_explore_list.cc).
void PrintList();
[[nodiscard]] std::string ListJson();

/// The table of searches; rows are printed as searches end, a finding below its row.
class SearchTable {
 public:
  explicit SearchTable(const ExploreOptions& options);
  void Row(const SearchReport& report);
  /// One sentence over all rows.
  void Total(const std::vector<SearchReport>& reports) const;

 private:
  void Header();

  const ExploreOptions& options_;
  int width_ = 8;
  bool header_due_ = true;
  bool printed_ = false;
};
[[nodiscard]] std::string SearchJson(const ExploreOptions& options,
                                     const std::vector<SearchReport>& reports);

class MutantTable {
 public:
  explicit MutantTable(const ExploreOptions& options);
  void Row(const MutantReport& report) const;

 private:
  int mutant_width_ = 6;
  int scenario_width_ = 8;
  int scheme_width_ = 6;
};
[[nodiscard]] std::string MutantTableJson(const ExploreOptions& options,
                                          const std::vector<MutantReport>& reports);

void PrintReplay(const ReplayReport& report);
[[nodiscard]] std::string ReplayJson(const ReplayReport& report);

}  // namespace faultline
