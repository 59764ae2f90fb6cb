// SPDX-License-Identifier: Apache-2.0
//
// What the command line of faultline-explore asks for: flags read, checked and resolved, so that
// nothing runs before everything is known to make sense.
//
// Guarantee: a refusal names the flag, the value and what is allowed, on stderr, and is exit code
// kUsage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/explore/faultline_explore_selection.h"
#include "core/explore/scenario.h"
#include "core/sync/modelled/search.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class ExitCode : int {
  kClean = 0,       ///< nothing found; the replay did what it recorded; every mutant was found
  kViolation = 1,   ///< a search found a violation
  kUsage = 2,       ///< nothing ran
  kUnexpected = 3,  ///< the replay diverged or ended well; a mutant of the table was not found
  kRefused = 4,     ///< the replay string was refused; nothing ran
};

enum class ExploreMode : uint8_t { kSearch, kList, kReplay, kMutantTable, kCampaign };

enum class CampaignKind : uint8_t {
  kPairwise,  ///< a covering array, bound 1 complete and bound 2 capped
  kLong,      ///< bound 2 complete, resumable
};

struct ExploreOptions {
  ExploreMode mode = ExploreMode::kSearch;
  bool json = false;

  std::vector<Configuration> searches;  ///< not empty when searching
  Mutant mutant = Mutant::kNone;        ///< on in a search
  SearchOptions search;

  std::vector<MutantRow> table_rows;  ///< of the table of mutants; not empty in that mode

  struct Campaign {
    CampaignKind kind = CampaignKind::kPairwise;
    std::vector<const Scenario*> scenarios;
    uint64_t seed = 0;       ///< of the covering array
    uint64_t seconds = 0;    ///< when these are over, no search begins or goes on
    std::string state_file;  ///< of the long one
  };
  Campaign campaign;

  std::string replay;
  int times = 1;
  /// What was named next to --replay; what was not is taken from the string.
  std::optional<std::string> scenario;
  std::optional<std::string> scheme;
  std::optional<std::string> policies;
  std::optional<std::string> mutant_name;
};

/// The options, or the code to exit with: help, version or a refusal has been printed by then.
[[nodiscard]] std::variant<ExploreOptions, ExitCode> ParseOptions(int argc, char** argv);

}  // namespace faultline
