// SPDX-License-Identifier: Apache-2.0
//
// How a fault went, as the core recorded it (core/observe/fault_events.h), in the API's words: as
// an explanation, and packed for columns.
#pragma once

#include "core/observe/fault_events.h"
#include "faultline/v1/memory.pb.h"
#include "proto/columns/outcome.h"

namespace faultline::server {

void ToProto(const FaultEvent& event, v1::FaultExplanation& out);

/// The rungs that it was on or tried, and why it left them.
[[nodiscard]] columns::Rungs RungsOf(const FaultEvent& event);

}  // namespace faultline::server
