// SPDX-License-Identifier: Apache-2.0
//
// The list of all scenarios, put together from the areas.
#include "core/explore/scenario.h"

#include <iterator>
#include <utility>

#include "core/explore/sync_scenarios.h"
#include "core/explore/vma_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

std::span<const Scenario> AllScenarios() {
  static const std::vector<Scenario> scenarios = [] {
    std::vector<Scenario> all = SyncScenarios();
    std::vector<Scenario> vma = VmaScenarios();
    all.insert(all.end(), std::move_iterator(vma.begin()), std::move_iterator(vma.end()));
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

SearchSubject SubjectOf(const Scenario& scenario, Mutant mutant) {
  return {.identity = {.scenario = scenario.name},
          .execution = scenario.execution,
          .body = scenario.body,
          .mutant = mutant};
}

}  // namespace faultline
