// SPDX-License-Identifier: Apache-2.0
//
// Whether a recording keeps its invariants (recording.h), whoever made it: a writer refuses what a
// reader would refuse.
#pragma once

#include "absl/status/status.h"

#include "client/recording/recording.h"

namespace faultline::client {

/// OK, or INVALID_ARGUMENT naming what is wrong: "operation 17: thread 9 of 4".
[[nodiscard]] absl::Status CheckRecording(const Recording& recording);

}  // namespace faultline::client
