// SPDX-License-Identifier: Apache-2.0
//
// The list of all scenarios, put together from the areas, and how one becomes a search. Names of
// schemes and policies in replay strings are those of fault_options.h; "none" stands for a scenario
// that takes none. Reading them back is strict: what is recorded must be exactly what would be
// recorded again, so that one configuration has one spelling.
#include "core/explore/scenario.h"

#include <iterator>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include "core/base/check.h"
#include "core/explore/fault_scenarios.h"
#include "core/explore/sync_scenarios.h"
#include "core/explore/vma_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

void Append(std::vector<Scenario>& all, std::vector<Scenario> more) {
  all.insert(all.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
}

}  // namespace

std::span<const Scenario> AllScenarios() {
  static const std::vector<Scenario> scenarios = [] {
    std::vector<Scenario> all;
    Append(all, LockScenarios());
    Append(all, WaitScenarios());
    Append(all, RcuScenarios());
    Append(all, TypeStableScenarios());
    Append(all, VmaScenarios());
    Append(all, FaultScenarios());
    return all;
  }();
  return scenarios;
}

const Scenario* FindScenario(std::string_view name) {
  for (const Scenario& scenario : AllScenarios()) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

SearchSubject SubjectOf(const Scenario& scenario, Mutant mutant, const FaultOptions& options) {
  SearchSubject subject = {.identity = {.scenario = scenario.name},
                           .execution = scenario.execution,
                           .body = {},
                           .mutant = mutant};
  if (!scenario.takes_fault_options()) {
    subject.body = std::get<Execution::Body>(scenario.body);
    return subject;
  }
  MM_CHECK(IsAllowed(options));
  subject.identity.scheme = Name(options.scheme);
  subject.identity.policies = PoliciesOf(options);
  subject.body = [&body = std::get<Scenario::Configured>(scenario.body), options](Execution& run) {
    body(run, options);
  };
  return subject;
}

std::vector<FaultOptions> DefaultConfigurations(const Scenario& scenario) {
  if (!scenario.takes_fault_options()) return {FaultOptions{}};
  std::vector<FaultOptions> all;
  for (const SchemeName scheme : AllSchemes()) all.push_back(DefaultsOf(scheme));
  return all;
}

std::variant<FaultOptions, std::string> RecordedOptions(const Scenario& scenario,
                                                        const RunIdentity& recorded) {
  if (!scenario.takes_fault_options()) {
    if (recorded.scheme == "none" && recorded.policies == "none") return FaultOptions{};
    return absl::StrCat("scenario '", scenario.name,
                        "' takes no scheme and no policies, not scheme '", recorded.scheme,
                        "' with policies '", recorded.policies, "'");
  }
  const std::optional<SchemeName> scheme = SchemeFromName(recorded.scheme);
  if (!scheme.has_value()) {
    return absl::StrCat("this build has no scheme '", recorded.scheme, "'; allowed: ",
                        absl::StrJoin(AllSchemes(), ", ", [](std::string* out, SchemeName name) {
                          out->append(Name(name));
                        }));
  }
  FaultOptions options = DefaultsOf(*scheme);
  if (const auto problem = ParsePolicies(recorded.policies, options)) return *problem;
  if (const auto why = WhyRefused(options)) return *why;
  if (PoliciesOf(options) != recorded.policies) {
    return absl::StrCat("policies '", recorded.policies, "' are written '", PoliciesOf(options),
                        "'");
  }
  return options;
}

}  // namespace faultline
