// SPDX-License-Identifier: Apache-2.0
//
// `Explore`: runs a scenario under one schedule after the other until something is wrong,
// everything within the bound was tried, or the budget is used; and `ReplayRun`, which repeats one
// schedule.
//
// A clean result reads "no violation in N schedules, sequentially consistent, preemption bound k,
// complete" (or "capped"), never "proved": weak memory orders are ThreadSanitizer's business and
// the bound is a bound.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/sync/modelled/depth_first.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/replay.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class Strategy : uint8_t { kDepthFirst, kPct };

struct SearchOptions {
  Strategy strategy = Strategy::kDepthFirst;
  Pruning pruning = Pruning::kBpor;
  uint32_t bound = 2;      ///< preemptions per schedule (depth first)
  uint32_t pct_depth = 3;  ///< ordering constraints aimed at (PCT), at least 1
  uint64_t seed = 1;       ///< PCT only
  uint64_t max_schedules = 1'000'000;
  bool collect_digests = false;  ///< keep the set of final states
  /// Called now and then with the number of schedules so far; null for none.
  std::function<void(uint64_t schedules)> progress = nullptr;
  /// Asked now and then; true ends the search as if max_schedules were reached. Null for never.
  std::function<bool()> give_up = nullptr;
};

/// What was found, complete enough to be shown and repeated.
struct Finding {
  Violation violation;
  std::string table;      ///< the interleaving and the violation, ready to print
  std::string replay;     ///< one line; see replay.h
  uint64_t schedule = 0;  ///< which schedule it was, from 1
  uint32_t preemptions = 0;
};

struct SearchResult {
  std::optional<Finding> finding;
  uint64_t schedules = 0;
  uint64_t steps = 0;          ///< of all schedules together
  uint32_t longest = 0;        ///< steps of the longest schedule
  bool complete = false;       ///< every schedule within the bound was covered
  std::set<uint64_t> digests;  ///< final states reached, if collected

  /// One sentence, see above.
  [[nodiscard]] std::string Summary(const SearchOptions& options) const;
};

/// What to run. The mutant is on during the search and off again afterwards.
struct SearchSubject {
  RunIdentity identity;  ///< names for the replay string; `mutant` is filled in from below
  ExecutionOptions execution;
  Execution::Body body;
  Mutant mutant = Mutant::kNone;
};

[[nodiscard]] SearchResult Explore(const SearchSubject& subject, const SearchOptions& options);

struct ReplayResult {
  std::string divergence;  ///< empty if the schedule could be repeated
  std::optional<Violation> violation;
  std::string table;
};

/// Repeats `choices` `times` times (at least 1) and returns the last run; an earlier one that ends
/// differently is a divergence, too.
[[nodiscard]] ReplayResult ReplayRun(const SearchSubject& subject,
                                     const std::vector<ReplayChoice>& choices, int times = 1);

}  // namespace faultline
