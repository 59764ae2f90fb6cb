// SPDX-License-Identifier: Apache-2.0
//
// A request to run a workload, checked: every field is what lab.proto allows, names are resolved
// and defaults filled in. What a run needs and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/mm/mm.h"
#include "faultline/v1/lab.pb.h"
#include "faultline/v1/workload.pb.h"
#include "server/machine_entry.h"
#include "server/refusal.h"
#include "server/registry.h"

namespace faultline::server {

struct WorkloadSettings {
  std::shared_ptr<MachineEntry> machine;
  v1::Workload workload;
  std::vector<MmOptions> schemes;  ///< at least one
  uint32_t threads = 1;            ///< of actors that leave it open
  uint64_t duration_ns = 0;
  uint64_t warmup_ns = 0;
  uint32_t repeats = 1;
  uint64_t seed = 0;
  uint64_t progress_interval_ns = 0;
  bool with_step_latencies = false;
};

/// The first refusal in the order of the fields.
[[nodiscard]] OrRefusal<WorkloadSettings> CheckRunWorkload(Registry& registry,
                                                           const v1::RunWorkloadRequest& request);

/// progress_interval_ns of a request with its default, or why not.
[[nodiscard]] OrRefusal<uint64_t> ProgressInterval(uint64_t nanoseconds);

}  // namespace faultline::server
