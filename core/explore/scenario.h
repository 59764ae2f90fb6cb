// SPDX-License-Identifier: Apache-2.0
//
// Scenarios: small concurrent programs over the core's own code, each with the invariants that must
// hold under every schedule. The explorer's tool, the tests and the campaigns all run scenarios
// from the one list here, by name.
//
// Invariant: a scenario depends on nothing but its schedule: no clock, no addresses, no randomness.
// Adding one takes an entry in the file of its area (sync_scenarios.cc ...); every test that goes
// over the list picks it up.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/sync/modelled/search.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct Scenario {
  std::string name;           ///< snake_case, unique; part of every replay string
  std::string description;    ///< one line: who does what, and what must hold
  std::vector<Mutant> finds;  ///< mutants that break it
  ExecutionOptions execution;
  Execution::Body body;
};

/// Every scenario, in the order of their areas.
[[nodiscard]] std::span<const Scenario> AllScenarios();

/// The scenario of that name, or null.
[[nodiscard]] const Scenario* FindScenario(std::string_view name);

/// That scenario under that mutant (kNone for the right code), ready to search.
[[nodiscard]] SearchSubject SubjectOf(const Scenario& scenario, Mutant mutant);

}  // namespace faultline
