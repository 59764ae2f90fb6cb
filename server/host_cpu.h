// SPDX-License-Identifier: Apache-2.0
//
// How busy the host's CPUs are with what is not this process: how far a measurement can be trusted.
// Linux: the first line of /proc/stat, which counts in ticks of 10 ms.
#pragma once

#include <cstdint>

namespace faultline::server {

/// CPU time of everybody else since the host started, stolen time included, in nanoseconds: all
/// that was used, less this process's own. 0 if it cannot be read. A reading is right to a tick per
/// CPU, so differences of less than some 10 ms say nothing.
[[nodiscard]] uint64_t ForeignCpuNs();

}  // namespace faultline::server
