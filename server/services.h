// SPDX-License-Identifier: Apache-2.0
//
// The seam between the frame of faultlined, which listens, logs and ends, and what it serves.
#pragma once

#include <memory>
#include <vector>

#include "server/config.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/registry.h"
#include "server/server.h"

namespace faultline::server {

/// What services may use. All of it outlives them.
struct Frame {
  const Config& config;
  Log& log;
  Metrics& metrics;
};

/// The services and what they share. It outlives the gRPC server and the port for metrics.
class Services {
 public:
  virtual ~Services() = default;
  [[nodiscard]] virtual std::vector<NamedService> All() = 0;
  /// A drain begins: new work is refused, streams end after what they have in hand. Called once, by
  /// any thread, and does not wait.
  virtual void BeginDrain() = 0;
  /// What they serve, for tests and statistics.
  [[nodiscard]] virtual Registry& registry() = 0;
};

[[nodiscard]] std::unique_ptr<Services> MakeServices(const Frame& frame);

}  // namespace faultline::server
