// SPDX-License-Identifier: Apache-2.0
//
// Scenarios over the sync layer itself: each lock with its inside dissolved into single atomics,
// and each way of misusing a primitive that the explorer has to notice. One source file each, named
// after the function.
#pragma once

#include <vector>

#include "core/base/build.h"
#include "core/explore/scenario.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

[[nodiscard]] std::vector<Scenario> LockScenarios();
[[nodiscard]] std::vector<Scenario> WaitScenarios();
[[nodiscard]] std::vector<Scenario> RcuScenarios();
[[nodiscard]] std::vector<Scenario> TypeStableScenarios();

}  // namespace faultline
