// SPDX-License-Identifier: Apache-2.0
//
// faultline-explore --campaign: runs the cells of core/explore/campaign.h one after the other until
// all are done or the time is up, and says which of the two it was.
#pragma once

#include "core/base/build.h"
#include "core/explore/faultline_explore_options.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// kViolation if there was one, kUsage if the state file cannot be used.
[[nodiscard]] ExitCode RunCampaign(const ExploreOptions& options);

}  // namespace faultline
