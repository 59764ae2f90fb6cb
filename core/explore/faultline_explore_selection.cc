// SPDX-License-Identifier: Apache-2.0
//
// Implementation of faultline_explore_selection.h. With --scheme=all, schemes that the policies do
// not fit are left out; a scheme that was named is refused then.
#include "core/explore/faultline_explore_selection.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Mutant MutantOf(const Wanted& wanted) {
  return MutantFromName(wanted.mutant).value_or(Mutant::kNone);
}

const Expectation* ExpectationOf(const Scenario& scenario, Mutant mutant) {
  for (const Expectation& expectation : scenario.finds) {
    if (expectation.mutant == mutant) return &expectation;
  }
  return nullptr;
}

/// The schemes asked for, each with the policies asked for, whether or not that is allowed.
std::vector<FaultOptions> NamedOptions(const Wanted& wanted) {
  std::vector<FaultOptions> all;
  for (const SchemeName scheme : AllSchemes()) {
    const bool by_default = wanted.schemes.empty() && scheme == FaultOptions{}.scheme;
    if (!by_default && !wanted.Has(scheme)) continue;
    FaultOptions& options = all.emplace_back(DefaultsOf(scheme));
    if (!wanted.policy.empty()) (void)ParsePolicies(wanted.policy, options);  // the flag's check
  }
  return all;
}

/// Those of an expectation's configurations that --scheme asks for, all if it is not given.
std::vector<FaultOptions> ExpectedOptions(const Wanted& wanted, const Expectation& expectation) {
  std::vector<FaultOptions> all;
  for (const FaultOptions& options : expectation.configurations) {
    if (wanted.schemes.empty() || wanted.Has(options.scheme)) all.push_back(options);
  }
  return all;
}

std::string WhyNotConfigurable(const Wanted& wanted) {
  for (const std::string& name : wanted.scenarios) {
    if (FindScenario(name)->takes_fault_options()) continue;
    return absl::StrCat(wanted.schemes.empty() ? "--policy" : "--scheme", ": scenario '", name,
                        "' takes none");
  }
  return {};
}

}  // namespace

bool Wanted::HasAllSchemes() const { return Contains(schemes, kAllSchemes); }

bool Wanted::Has(SchemeName scheme) const {
  return HasAllSchemes() || Contains(schemes, Name(scheme));
}

std::string WhyNotWanted(const Wanted& wanted) {
  if (wanted.schemes.empty() && wanted.policy.empty()) return {};
  if (std::string why = WhyNotConfigurable(wanted); !why.empty()) return why;
  std::string last;
  bool any_allowed = false;
  for (const FaultOptions& options : NamedOptions(wanted)) {
    const auto why = WhyRefused(options);
    any_allowed = any_allowed || !why.has_value();
    if (!why.has_value()) continue;
    last = absl::StrFormat("--policy: '%s' with scheme %s: %s", wanted.policy, Name(options.scheme),
                           *why);
    if (!wanted.HasAllSchemes()) return last;
  }
  return any_allowed ? std::string() : last;
}

std::vector<const Scenario*> SelectScenarios(const Wanted& wanted) {
  const bool is_configured = !wanted.schemes.empty() || !wanted.policy.empty();
  const Mutant mutant = MutantOf(wanted);
  std::vector<const Scenario*> selected;
  for (const Scenario& scenario : AllScenarios()) {
    const bool fits = (mutant == Mutant::kNone || ExpectationOf(scenario, mutant) != nullptr) &&
                      (!is_configured || scenario.takes_fault_options());
    const bool is_named = Contains(wanted.scenarios, scenario.name);
    if (wanted.scenarios.empty() ? fits : is_named) selected.push_back(&scenario);
  }
  return selected;
}

std::vector<Configuration> SelectSearches(const Wanted& wanted) {
  const std::vector<FaultOptions> named = NamedOptions(wanted);
  std::vector<Configuration> searches;
  for (const Scenario* scenario : SelectScenarios(wanted)) {
    if (!scenario->takes_fault_options()) {
      searches.push_back({.scenario = scenario});
      continue;
    }
    std::vector<FaultOptions> expected;
    const Expectation* const expectation = ExpectationOf(*scenario, MutantOf(wanted));
    if (expectation != nullptr && wanted.policy.empty()) {
      expected = ExpectedOptions(wanted, *expectation);
    }
    for (const FaultOptions& options : expected.empty() ? named : expected) {
      if (IsAllowed(options)) searches.push_back({.scenario = scenario, .options = options});
    }
  }
  return searches;
}

std::vector<MutantRow> SelectMutantRows(const Wanted& wanted) {
  const Mutant only = MutantOf(wanted);
  std::vector<MutantRow> rows;
  for (const Mutant mutant : AllMutants()) {
    if (only != Mutant::kNone && mutant != only) continue;
    for (const Scenario* scenario : SelectScenarios(wanted)) {
      const Expectation* const expectation = ExpectationOf(*scenario, mutant);
      if (expectation == nullptr) continue;
      if (!scenario->takes_fault_options()) rows.push_back({mutant, {.scenario = scenario}});
      for (const FaultOptions& options : ExpectedOptions(wanted, *expectation)) {
        rows.push_back({mutant, {.scenario = scenario, .options = options}});
      }
    }
  }
  return rows;
}

}  // namespace faultline
