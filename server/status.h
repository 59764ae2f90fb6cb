// SPDX-License-Identifier: Apache-2.0
//
// From a refusal to what gRPC sends: the one table of status codes, the sentence, and the detail in
// `grpc-status-details-bin` (error.proto).
#pragma once

#include <cstdint>

#include <grpcpp/support/status.h>

#include "faultline/v1/error.pb.h"
#include "server/refusal.h"

namespace faultline::server {

/// The status code that goes with a reason (error.proto).
[[nodiscard]] grpc::StatusCode CodeOf(v1::ErrorReason reason);

/// As it is sent by the instance of that epoch.
[[nodiscard]] grpc::Status ToStatus(const Refusal& refusal, uint64_t instance_epoch);

}  // namespace faultline::server
