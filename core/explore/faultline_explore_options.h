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

enum class ExploreMode : uint8_t { kSearch, kList, kReplay, kMutantTable };

struct ExploreOptions {
  ExploreMode mode = ExploreMode::kSearch;
  bool json = false;

  std::vector<const Scenario*> scenarios;  ///< to search; not empty
  Mutant mutant = Mutant::kNone;           ///< on in a search
  SearchOptions search;

  struct TableRow {
    Mutant mutant;
    const Scenario* scenario;
  };
  std::vector<TableRow> table_rows;  ///< of the table of mutants; not empty in that mode

  std::string replay;
  int times = 1;
  /// What was named next to --replay; what was not is taken from the string.
  std::optional<std::string> scenario;
  std::optional<std::string> scheme;
  std::optional<std::string> policies;
  std::optional<std::string> mutant_name;
};

/// Names that --scheme and --policy accept. Empty seams are called "none".
[[nodiscard]] std::vector<std::string> SchemeNames();
[[nodiscard]] std::vector<std::string> PolicyNames();

/// The options, or the code to exit with: help, version or a refusal has been printed by then.
[[nodiscard]] std::variant<ExploreOptions, ExitCode> ParseOptions(int argc, char** argv);

}  // namespace faultline
