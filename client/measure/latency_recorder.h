// SPDX-License-Identifier: Apache-2.0
//
// What the operations of one thread of a load took, seen by who waits for them and by the server.
//
// A load that is paced (proto/workload/pacer.h) means each operation to start at a time that does
// not depend on those before. *Latency* counts from there: if the server stalls, all operations
// that were to start in the meantime have waited. *Service time* counts from when the operation was
// really started, and hides that. The difference is *lag*: how far the generator was behind. A load
// without a pace (a closed loop) has no intended start but the real one: its latency is its service
// time, and a stall is one slow operation of many. Both are shown, and which loop it was.
//
// A generator that is too far behind does not catch up in any useful time. Beyond a bound it leaves
// operations out and counts them: percentiles are then of those that were carried out, and must be
// shown together with skipped().
//
// Not thread-safe: one per thread, merged when it is over. All times are of one steady clock.
#pragma once

#include <cstdint>

#include "client/measure/histogram.h"

namespace faultline::client {

/// In nanoseconds.
struct OperationTimes {
  uint64_t intended;
  uint64_t started;
  uint64_t ended;
};

class LatencyRecorder {
 public:
  /// Ten seconds: more than any pause that one wants to see in the percentiles.
  static constexpr uint64_t kDefaultMostLagNs = 10'000'000'000;

  explicit LatencyRecorder(uint64_t most_lag_ns = kDefaultMostLagNs) : most_lag_ns_(most_lag_ns) {}

  /// Asked right before each operation with the time: whether to start it. If not, since `now` is
  /// more than the bound after `intended`, it was counted as skipped, and the next one is due.
  [[nodiscard]] bool Admit(uint64_t intended, uint64_t now) {
    if (now <= intended || now - intended <= most_lag_ns_) return true;
    ++skipped_;
    return false;
  }

  /// One that was carried out in a load with a pace. One that started early has no lag, and its
  /// latency counts from its start.
  void RecordPaced(const OperationTimes& times);
  /// One of a closed loop.
  void RecordUnpaced(uint64_t started, uint64_t ended);

  /// As if this one had recorded what `other` did. Its bound does not matter.
  void Merge(const LatencyRecorder& other);

  [[nodiscard]] const Histogram& latency() const { return latency_; }
  [[nodiscard]] const Histogram& service_time() const { return service_time_; }
  /// Of those carried out: a skipped one has more than the bound.
  [[nodiscard]] const Histogram& lag() const { return lag_; }
  [[nodiscard]] uint64_t skipped() const { return skipped_; }

 private:
  uint64_t most_lag_ns_;
  Histogram latency_;
  Histogram service_time_;
  Histogram lag_;
  uint64_t skipped_ = 0;
};

}  // namespace faultline::client
