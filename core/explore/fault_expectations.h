// SPDX-License-Identifier: Apache-2.0
//
// Which planted bug of the fault path (BEHAVIOURS 1.9) must be found by which scenario, and under
// which schemes: one table, in the source file. The tool's lists, the table of mutants and the
// tests all read it.
#pragma once

#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/base/mutant.h"
#include "core/explore/scenario.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The rows of the table that are about that scenario.
[[nodiscard]] std::vector<Expectation> FaultExpectationsOf(std::string_view scenario);

/// The scenarios that rows are about; a test holds them against the list.
[[nodiscard]] std::vector<std::string_view> ScenariosWithExpectations();

}  // namespace faultline
