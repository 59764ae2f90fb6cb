// SPDX-License-Identifier: Apache-2.0
//
// Scenarios: small concurrent programs over the core's own code, each with the invariants that must
// hold under every schedule. The explorer's tool, the tests and the campaigns all run scenarios
// from the one list here, by name.
//
// A scenario that faults pages in is run in a configuration: a locking scheme with its policies.
// Every combination that IsAllowed is one. The others have none, and reports say "none".
//
// Invariant: a scenario depends on nothing but its configuration and its schedule: no clock, no
// addresses, no randomness. Adding one takes an entry in the file of its area (lock_scenarios.cc
// ...); every test that goes over the list picks it up.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/fault/fault_options.h"
#include "core/sync/modelled/search.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A mutant that breaks a scenario, and in which configurations.
struct Expectation {
  Mutant mutant;
  /// The defaults of schemes, or one policy of theirs; empty where the scenario takes none.
  std::vector<FaultOptions> configurations;
};

struct Scenario {
  using Configured = std::function<void(Execution&, const FaultOptions&)>;

  std::string name;                ///< snake_case, unique; part of every replay string
  std::string description;         ///< one line: who does what, and what must hold
  std::vector<Expectation> finds;  ///< mutants that break it
  ExecutionOptions execution;
  std::variant<Execution::Body, Configured> body;
  size_t tasks = 0;  ///< how many it spawns, where campaigns go by that: in scenarios of faults

  /// Whether it is run in a configuration.
  [[nodiscard]] bool takes_fault_options() const { return body.index() == 1; }
};

/// One search to make or to repeat. `options` counts only if the scenario takes them.
struct Configuration {
  const Scenario* scenario;
  FaultOptions options = {};
};

/// Every scenario, in the order of their areas.
[[nodiscard]] std::span<const Scenario> AllScenarios();

/// The scenario of that name, or null.
[[nodiscard]] const Scenario* FindScenario(std::string_view name);

/// The scenario in that configuration, under that mutant (kNone for the right code), ready to
/// search. The scenario outlives what is returned.
[[nodiscard]] SearchSubject SubjectOf(const Scenario& scenario, Mutant mutant,
                                      const FaultOptions& options = {});

/// The defaults of every scheme; one without meaning for a scenario that takes none.
[[nodiscard]] std::vector<FaultOptions> DefaultConfigurations(const Scenario& scenario);

/// The configuration that a replay string recorded, or a sentence that says why there is none.
[[nodiscard]] std::variant<FaultOptions, std::string> RecordedOptions(const Scenario& scenario,
                                                                      const RunIdentity& recorded);

}  // namespace faultline
