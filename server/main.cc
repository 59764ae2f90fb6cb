// SPDX-License-Identifier: Apache-2.0
//
// faultlined: the server. Reads its configuration, serves until it is told to stop, drains. --help
// documents flags and exit codes.
//
// Order: what is used outlives its users, so things are made from the log up and go in reverse.
// Everything that can refuse comes before the first client is let in.
#include <faultline_build_id.h>
#include <unistd.h>

#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <absl/strings/str_format.h>
#include <prometheus/client_metric.h>

#include "server/call_tracker.h"
#include "server/config.h"
#include "server/health_probe.h"
#include "server/http.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/services.h"
#include "server/signals.h"

namespace faultline::server {
namespace {

constexpr std::chrono::seconds kProbePatience{3};

/// Which build this is, its stage, and what its log lost.
class FrameMetrics : public prometheus::Collectable {
 public:
  FrameMetrics(const StageCell& stage, const Log& log) : stage_(stage), log_(log) {}

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    auto build = GaugeFamily("faultline_build_info", "1; which build it is", 1);
    build.metric[0].label = {{"build_id", std::string(kBuildId)}};
    const bool ready = stage_.load(std::memory_order_relaxed) == Stage::kServing;  // a statistic
    return {std::move(build), GaugeFamily("faultline_ready", "1 while it serves", ready ? 1 : 0),
            CounterFamily("faultline_log_dropped_lines_total",
                          "Log lines that were dropped, since nobody read them fast enough",
                          static_cast<double>(log_.dropped()))};
  }

 private:
  const StageCell& stage_;
  const Log& log_;
};

ExitCode Probe(const Config& config) {
  const std::string why =
      WhyNotServing(config.listen.front().ForLocalClient().Text(), kProbePatience);
  if (why.empty()) return ExitCode::kDone;
  absl::FPrintF(stderr, "faultlined: %s\n", why);
  return ExitCode::kNotServing;
}

ExitCode CannotStart(const std::string& why) {
  absl::FPrintF(stderr, "faultlined: %s\n", why);
  return ExitCode::kCannotStart;
}

/// Waits for the first signal, and drains. A second one ends the process in the middle of it.
ExitCode ServeAndDrain(const Config& config, Log& log, StageCell& stage, Signals& signals,
                       Services& services, Server& server) {
  const std::string signal = signals.Wait();
  log.Write(LogLevel::kInfo, "draining", {{"signal", signal}, {"seconds", config.drain_seconds}});
  stage.store(Stage::kDraining, std::memory_order_release);  // pairs with the read of /readyz
  services.BeginDrain();
  auto drain = std::async(std::launch::async, [&] {
    const Server::DrainResult result = server.Drain(std::chrono::seconds(config.drain_seconds));
    signals.Wake();
    return result;
  });
  if (!signals.Wait().empty()) {
    // Nothing is waited for any more: not calls, not the log.
    constexpr std::string_view kText = "faultlined: ended by a second signal\n";
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, kText.data(), kText.size());
    _exit(static_cast<int>(ExitCode::kCutShort));
  }
  const bool finished = drain.get() == Server::DrainResult::kFinished;
  log.Write(finished ? LogLevel::kInfo : LogLevel::kWarning,
            finished ? "drained" : "drained, but calls were cut short");
  return finished ? ExitCode::kDone : ExitCode::kCutShort;
}

ExitCode Serve(const ParsedConfig& parsed) {
  const Config& config = parsed.config;
  Signals signals;
  Log log({.level = config.log_level,
           .format = config.log_format,
           .queue_lines = config.limits.log_queue_lines,
           .descriptor = STDERR_FILENO});
  SendGrpcMessagesTo(log);
  for (const std::string& warning : parsed.warnings) log.Write(LogLevel::kWarning, warning);

  StageCell stage{Stage::kStarting};
  Metrics metrics;
  const auto frame_metrics = std::make_shared<FrameMetrics>(stage, log);
  const auto process_metrics = MakeProcessMetrics();
  metrics.Add(frame_metrics);
  metrics.Add(process_metrics);
  // Before the port for metrics, behind which somebody may be looking at them up to its end.
  std::unique_ptr<Services> services;
  std::unique_ptr<HttpServer> http;
  if (!config.metrics.empty()) {
    auto started = HttpServer::Start(config.metrics.front(), config.limits, {stage, metrics, log});
    if (const auto* why = std::get_if<std::string>(&started)) return CannotStart(*why);
    http = std::get<std::unique_ptr<HttpServer>>(std::move(started));
    log.Write(LogLevel::kInfo, "metrics", {{"address", http->address().Text()}});
  }

  services = MakeServices({config, log, metrics});
  const std::vector<NamedService> all = services->All();
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const NamedService& service : all) names.push_back(service.name);
  const auto tracker = std::make_shared<CallTracker>(names, log);
  metrics.Add(tracker);
  auto started = Server::Start(config.listen, config.limits, all, *tracker);
  if (const auto* why = std::get_if<std::string>(&started)) return CannotStart(*why);
  auto& server = *std::get<std::unique_ptr<Server>>(started);
  for (const Address& address : server.addresses()) {
    log.Write(LogLevel::kInfo, "listening", {{"address", address.Text()}});
  }
  stage.store(Stage::kServing, std::memory_order_release);  // pairs with the read of /readyz
  log.Write(LogLevel::kInfo, "serving", {{"build", kBuildId}});
  return ServeAndDrain(config, log, stage, signals, *services, server);
}

ExitCode Main(int argc, char** argv) {
  DisableMutexDeadlockDetection();
  const auto parsed = ParseConfig(argc, argv, HostEnvironment());
  if (const auto* code = std::get_if<ExitCode>(&parsed)) return *code;
  const auto& config = std::get<ParsedConfig>(parsed);
  switch (config.mode) {
    case RunMode::kPrintConfig:
      absl::PrintF("%s", DescribeConfig(config));
      return ExitCode::kDone;
    case RunMode::kHealthCheck:
      return Probe(config.config);
    case RunMode::kServe:
      break;
  }
  return Serve(config);
}

}  // namespace
}  // namespace faultline::server

int main(int argc, char** argv) { return static_cast<int>(faultline::server::Main(argc, argv)); }
