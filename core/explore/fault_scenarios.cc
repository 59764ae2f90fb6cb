// SPDX-License-Identifier: Apache-2.0
//
// The list of all fault scenarios. Order: that of the areas in fault_scenarios.h.
#include "core/explore/fault_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

std::vector<Scenario> FaultScenarios() {
  std::vector<Scenario> all;
  for (const auto& area : {FaultMapScenarios(), FaultChangeScenarios(), FaultTableScenarios(),
                           FaultLifeScenarios(), FaultObserverScenarios()}) {
    for (const FaultScenario& scenario : area) all.push_back(AsScenario(scenario));
  }
  return all;
}

}  // namespace faultline
