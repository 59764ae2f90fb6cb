// SPDX-License-Identifier: Apache-2.0
//
// The port for machines that watch the server: /metrics for Prometheus, /healthz for whoever
// restarts it, /readyz for whoever sends it clients. Plain HTTP by civetweb, apart from the port
// for calls, so that a flood there does not blind those who watch.
//
//   /healthz   200 as long as the process answers
//   /readyz    200 while it serves; 503 with the reason while it starts or drains
//   /metrics   200, Prometheus's text format
//
// Only GET and HEAD; anything else is 405, other paths are 404. Request bodies are not read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "server/address.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/metrics.h"

namespace faultline::server {

/// Where a server is in its life; it only goes forward.
enum class Stage : uint8_t { kStarting, kServing, kDraining };

/// Written by main, read by whoever asks.
using StageCell = std::atomic<Stage>;

class HttpServer {
 public:
  /// What it shows; outlives it.
  struct Sources {
    const StageCell& stage;
    const Metrics& metrics;
    Log& log;
  };

  /// Listens, or says why not, as a sentence that names the address.
  [[nodiscard]] static std::variant<std::unique_ptr<HttpServer>, std::string> Start(
      const Address& address, const Limits& limits, const Sources& sources);
  /// Waits for requests under way; they are bounded by Limits::http_timeout_seconds.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Where it listens, with the port that the host chose.
  [[nodiscard]] const Address& address() const { return address_; }

 private:
  class Context;

  explicit HttpServer(const Address& address);

  Address address_;
  std::unique_ptr<Context> context_;
};

}  // namespace faultline::server
