// SPDX-License-Identifier: Apache-2.0
//
// Implementation of faultline_explore_json.h.
#include "core/explore/faultline_explore_json.h"

#include <faultline_build_id.h>

#include <algorithm>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_split.h>

namespace faultline::inline FAULTLINE_FLAVOUR {

Json Document(std::string_view kind) {
  return {{"tool", "faultline-explore"}, {"build", kBuildId}, {"kind", kind}};
}

std::string Text(const Json& json) { return json.dump(2) + "\n"; }

Json JsonOf(const Violation& violation) {
  Json json = {{"kind", Name(violation.kind)}, {"message", violation.message}};
  json["fiber"] = violation.fiber == kNoFiber ? Json(nullptr) : Json(violation.fiber);
  return json;
}

Json JsonOf(const SearchOptions& options) {
  Json json;
  if (options.strategy == Strategy::kPct) {
    json["strategy"] = "pct";
    json["depth"] = options.pct_depth;
    json["seed"] = options.seed;
  } else {
    json["strategy"] = "dfs";
    json["bound"] = options.bound;
    json["pruning"] = options.pruning == Pruning::kNone ? "none" : "bpor";
  }
  json["schedules"] = options.max_schedules;
  return json;
}

Json JsonOf(const std::optional<Finding>& finding) {
  if (!finding.has_value()) return nullptr;
  return {{"violation", JsonOf(finding->violation)},
          {"schedule", finding->schedule},
          {"preemptions", finding->preemptions},
          {"table", finding->table},
          {"replay", finding->replay},
          {"command", ReplayCommand(finding->replay)}};
}

Json JsonOf(const RunIdentity& identity) {
  return {{"scenario", identity.scenario},
          {"scheme", identity.scheme},
          {"policies", identity.policies},
          {"mutant", identity.mutant}};
}

Json JsonOf(const Configuration& configuration, Mutant mutant) {
  RunIdentity identity =
      SubjectOf(*configuration.scenario, Mutant::kNone, configuration.options).identity;
  identity.mutant = Name(mutant);
  return JsonOf(identity);
}

std::string SchemeLabel(const Configuration& configuration) {
  if (!configuration.scenario->takes_fault_options()) return "none";
  const SchemeName scheme = configuration.options.scheme;
  const std::string defaults = PoliciesOf(DefaultsOf(scheme));
  const std::vector<std::string> usual = absl::StrSplit(defaults, ',');
  const std::vector<std::string> words = absl::StrSplit(PoliciesOf(configuration.options), ',');
  std::string label(Name(scheme));
  for (const std::string& word : words) {
    if (std::find(usual.begin(), usual.end(), word) == usual.end()) label += "+" + word;
  }
  return label;
}

std::string Label(const Configuration& configuration) {
  const Scenario& scenario = *configuration.scenario;
  if (!scenario.takes_fault_options()) return scenario.name;
  return absl::StrCat(scenario.name, " ", SchemeLabel(configuration));
}

double PerSecond(uint64_t schedules, double seconds) {
  return seconds > 0 ? static_cast<double>(schedules) / seconds : 0;
}

std::string ReplayCommand(std::string_view replay) {
  return absl::StrFormat("faultline-explore --replay=%s", replay);
}

/// "1 scenario", "2 scenarios".
std::string Count(uint64_t number, std::string_view what) {
  return absl::StrFormat("%d %s%s", number, what, number == 1 ? "" : "s");
}

}  // namespace faultline
