// SPDX-License-Identifier: Apache-2.0
//
// Whether a workload is one that can be run: every rule that the comments of workload.proto state,
// checked in the order of its fields, and the first that is broken named by path, value and range.
//
// Guarantee: a workload without a problem makes a Plan whose operations stay within its regions,
// whatever the values are that the simulated kernel has to judge (prot, flags, advice).
#pragma once

#include <cstdint>
#include <string_view>

#include "faultline/v1/workload.pb.h"
#include "proto/columns/error_detail.h"

namespace faultline::workload {

/// What it is asked about.
struct WorkloadLimits {
  /// Limits.max_threads.
  uint32_t max_threads;
  /// RunWorkloadRequest.threads with its default filled in: for actors that leave theirs open.
  uint32_t threads;
};

/// The first problem of `workload`: OUT_OF_RANGE, MISSING_FIELD or UNKNOWN_ENUM_VALUE, its field
/// beginning with `path`; nothing: it can be run.
[[nodiscard]] columns::MaybeProblem WhyBad(const v1::Workload& workload,
                                           const WorkloadLimits& limits,
                                           std::string_view path = "workload");

}  // namespace faultline::workload
