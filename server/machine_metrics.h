// SPDX-License-Identifier: Apache-2.0
//
// What /metrics shows of the simulation: machines, mms and threads, each machine's vmstat, its
// faults by rung with their kinds and reasons, and the locks. Read from the core's own counters
// when somebody asks; nothing is counted for this.
//
// Labels are machines, never mms: clients make as many of those as they like.
#pragma once

#include <memory>

#include <prometheus/collectable.h>

#include "server/registry.h"

namespace faultline::server {

/// `registry` outlives it.
[[nodiscard]] std::shared_ptr<prometheus::Collectable> MakeMachineMetrics(const Registry& registry);

}  // namespace faultline::server
