// SPDX-License-Identifier: Apache-2.0
//
// Asks a server whether it serves, as a container's health check does that has no other tool.
#pragma once

#include <chrono>
#include <string>

namespace faultline::server {

/// Calls grpc.health.v1.Health/Check at `target`, which is as gRPC takes it. Empty if the answer
/// is SERVING; else what it is, or why there was none, as a sentence.
[[nodiscard]] std::string WhyNotServing(const std::string& target,
                                        std::chrono::milliseconds patience);

}  // namespace faultline::server
