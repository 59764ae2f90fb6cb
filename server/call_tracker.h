// SPDX-License-Identifier: Apache-2.0
//
// Sees every call begin and end: how many there are, how they end and how long they take, for
// /metrics and the log, and for a drain, which has to know when the last one has gone. It does so
// as an interceptor of gRPC, so that no service has to think of it.
//
// Calls of gRPC's own services (health, reflection, channelz) are counted together, and a drain
// does not wait for them: a watcher of health never ends its call.
//
// Cost per call: one small allocation, one look-up, and a few relaxed counters.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/server_interceptor.h>
#include <prometheus/collectable.h>

#include "server/log.h"

namespace faultline::server {

class CallTracker : public prometheus::Collectable {
 public:
  using Clock = std::chrono::steady_clock;

  /// `services` by full name, such as "faultline.v1.MachineService": theirs are the calls that a
  /// drain waits for. `log` outlives it, and gets each call at level debug.
  CallTracker(const std::vector<std::string>& services, Log& log);
  ~CallTracker() override;
  CallTracker(const CallTracker&) = delete;
  CallTracker& operator=(const CallTracker&) = delete;

  /// For ServerBuilder. The tracker outlives the server.
  [[nodiscard]] std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Factory();

  /// Calls of the services that are under way.
  [[nodiscard]] uint64_t in_flight() const;
  /// Waits until there were none for `quiet` in a row, but not beyond `deadline` and not when
  /// `give_up` is set (Wake). Whether there were none.
  bool WaitUntilIdle(Clock::duration quiet, Clock::time_point deadline,
                     const std::atomic<bool>& give_up);
  /// Makes WaitUntilIdle look at `give_up`.
  void Wake();

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  class Call;
  class CallFactory;
  struct Method;

  void Begin(Method& method);
  void End(Method& method, int code, Clock::duration time);
  [[nodiscard]] Method& Find(const char* path);

  struct Table;
  const std::unique_ptr<Table> table_;
  Log& log_;
  std::atomic<uint64_t> in_flight_{0};
  std::mutex mutex_;  // for idle_ only
  std::condition_variable idle_;
};

}  // namespace faultline::server
