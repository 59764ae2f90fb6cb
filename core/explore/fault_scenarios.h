// SPDX-License-Identifier: Apache-2.0
//
// Scenarios of page faults beside everything that changes what they rely on. Each runs under every
// locking scheme and policy. Names say what is beside what; a last word says what was there before:
// "cold" nothing, "warm" the tables, through a page next to it, and so on.
//
// What must hold in each, besides its description: an access ends as it could have without the
// other tasks, before or after them; the mms are valid at the end; nothing leaks.
#pragma once

#include <vector>

#include "core/base/build.h"
#include "core/explore/fault_world.h"
#include "core/explore/scenario.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Beside munmap and mmap, MAP_FIXED included (fault_map_scenarios.cc).
[[nodiscard]] std::vector<FaultScenario> FaultMapScenarios();
/// Beside mprotect, mremap and the reading of maps (fault_change_scenarios.cc).
[[nodiscard]] std::vector<FaultScenario> FaultChangeScenarios();
/// Beside other faults, DONTNEED and failing allocations (fault_table_scenarios.cc).
[[nodiscard]] std::vector<FaultScenario> FaultTableScenarios();
/// Beside fork, exit, copy-on-write, stack growth and recycled VMAs (fault_life_scenarios.cc).
[[nodiscard]] std::vector<FaultScenario> FaultLifeScenarios();
/// Readers of maps and smaps beside what changes VMAs (fault_observer_scenarios.cc).
[[nodiscard]] std::vector<FaultScenario> FaultObserverScenarios();

/// All of them.
[[nodiscard]] std::vector<Scenario> FaultScenarios();

}  // namespace faultline
