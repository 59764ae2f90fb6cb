// SPDX-License-Identifier: Apache-2.0
//
// Which scenarios the command line asks for, and in which configurations: --scenario, --scheme,
// --policy and --mutant taken together. Names are known to exist by then; that they make sense
// together is checked here.
#pragma once

#include <string>
#include <vector>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/explore/scenario.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What was asked for, as typed.
struct Wanted {
  std::vector<std::string> scenarios;  ///< empty: those that fit the rest
  std::vector<std::string> schemes;    ///< kAllSchemes for all
  std::string policy;                  ///< empty: each scheme's own
  std::string mutant = "none";

  static constexpr const char* kAllSchemes = "all";
  [[nodiscard]] bool Has(SchemeName scheme) const;
  [[nodiscard]] bool HasAllSchemes() const;
};

/// A mutant and where it must be found.
struct MutantRow {
  Mutant mutant;
  Configuration configuration;
};

/// What makes no sense together, as a sentence; empty if all does.
[[nodiscard]] std::string WhyNotWanted(const Wanted& wanted);

/// The scenarios asked for; those that must find the mutant, and take the scheme, if none is named.
[[nodiscard]] std::vector<const Scenario*> SelectScenarios(const Wanted& wanted);

/// Each of these scenarios in each configuration asked for. Without a scheme that is the default
/// one, or, where the scenario must find the mutant, each in which it must.
[[nodiscard]] std::vector<Configuration> SelectSearches(const Wanted& wanted);

/// Every mutant that has code, or the one asked for, in each scenario and configuration that must
/// find it.
[[nodiscard]] std::vector<MutantRow> SelectMutantRows(const Wanted& wanted);

}  // namespace faultline
