// SPDX-License-Identifier: Apache-2.0
//
// Scenarios over the VMA index: readers of the maple tree beside each kind of rewriting.
#pragma once

#include <vector>

#include "core/base/build.h"
#include "core/explore/scenario.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

[[nodiscard]] std::vector<Scenario> VmaScenarios();

}  // namespace faultline
