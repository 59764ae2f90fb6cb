// SPDX-License-Identifier: Apache-2.0
//
// The explorer for the server: scenarios, searches over their interleavings, and replays, in the
// API's messages. Behind it is the modelled core; this header shows none of it, since the rest of
// the server is compiled with the native one.
//
// Which bug is planted is one for the whole process, so searches and replays take turns: one waits
// until the other is through, or until it is told to give up.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "faultline/v1/lab.pb.h"

namespace faultline::server::explorer {

/// Every scenario, in the order of their areas.
[[nodiscard]] const std::vector<v1::Scenario>& Scenarios();
/// Every bug that can be planted.
[[nodiscard]] const std::vector<v1::Mutant>& Mutants();

/// The scenario of that name; null: there is none.
[[nodiscard]] const v1::Scenario* FindScenario(const std::string& name);
/// There is a bug of that name.
[[nodiscard]] bool IsMutant(const std::string& name);

/// A search. Names are there, numbers in range, and the configuration is allowed.
struct Search {
  std::string scenario;
  /// By name; empty if the scenario takes none.
  std::string scheme;
  /// As replay strings spell them.
  std::string policies;
  std::string mutant;  ///< empty: none
  v1::SearchStrategy strategy = v1::SEARCH_STRATEGY_DFS;
  v1::SearchPruning pruning = v1::SEARCH_PRUNING_BPOR;
  uint32_t bound = 2;
  uint32_t pct_depth = 3;
  uint64_t seed = 1;
  uint64_t max_schedules = 1'000'000;
  /// Called with the number of schedules, every few hundred of them.
  std::function<void(uint64_t)> progress;
  /// Asked as often, and while it waits for its turn.
  std::function<bool()> give_up;
};

/// Searches, on the calling thread. Nothing if it gave up before it had its turn.
[[nodiscard]] std::optional<v1::ExploreResult> Explore(const Search& search);

/// What a replay string is about.
enum class ReplayTrouble : uint8_t {
  kNone,
  kUnreadable,       ///< or of another build
  kUnknownScenario,  ///< this build has none of that name
  kUnknownMutant,    ///< nor a bug
};
struct ReplayAnswer {
  ReplayTrouble trouble = ReplayTrouble::kNone;
  /// With a trouble: what is wrong, as a sentence; of names, the name.
  std::string what;
  v1::ReplayResponse response;
};
/// Repeats one interleaving; `give_up` is asked while it waits for its turn and between
/// repetitions, and what comes then means nothing.
[[nodiscard]] ReplayAnswer Replay(const std::string& replay, uint32_t times,
                                  const std::function<bool()>& give_up);

}  // namespace faultline::server::explorer
