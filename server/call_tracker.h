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

  /// From now on calls are late: they are counted, and nobody waits for them in particular. Once.
  void BeginDrain();
  /// Waits for the calls that were not late, but not beyond `deadline` and not when `give_up` is
  /// set (Wake). Whether they have ended.
  bool WaitForEarly(Clock::time_point deadline, const std::atomic<bool>& give_up);
  /// Likewise until there were no calls at all for `quiet` in a row. Whether that was so.
  bool WaitUntilIdle(Clock::duration quiet, Clock::time_point deadline,
                     const std::atomic<bool>& give_up);
  /// Makes those who wait look at `give_up`.
  void Wake();

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  class Call;
  class CallFactory;
  struct Method;

  /// Whether the call began before a drain did.
  enum class Time : uint8_t { kEarly, kLate };

  [[nodiscard]] Time Begin(Method& method);
  /// Its status is known: for the statistics. Before the client gets it, so that a client finds
  /// its own calls in /metrics.
  void Record(Method& method, int code, Clock::duration duration);
  /// The server is through with it.
  void End(const Method& method, Time began);
  [[nodiscard]] Method& Find(const char* path);

  struct Table;
  const std::unique_ptr<Table> table_;
  Log& log_;
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> early_{0};  ///< under way
  std::atomic<uint64_t> late_{0};   ///< likewise
  std::mutex mutex_;                // for changed_ only
  std::condition_variable changed_;
};

}  // namespace faultline::server
