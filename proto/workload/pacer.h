// SPDX-License-Identifier: Apache-2.0
//
// When the rounds of a thread are to begin (Pace in workload.proto).
//
// Starts are on a line of their own that nothing moves: a round that begins late leaves those
// behind it where they are, and its latency counts from its intended start. So a stall is seen by
// every round that it delays, not only by the one that met it (coordinated omission).
#pragma once

#include <cstdint>

#include "faultline/v1/workload.pb.h"
#include "proto/workload/random.h"

namespace faultline::workload {

class Pacer {
 public:
  /// For one thread of an actor that has a pace. Its random numbers are its own: a script draws the
  /// same ones with and without it.
  Pacer(const v1::Pace& pace, uint64_t seed, uint32_t actor, uint32_t thread)
      : interval_ns_(static_cast<double>(pace.interval_ns())),
        poisson_(pace.poisson()),
        random_(seed, actor, thread, kForPace) {}

  /// When the next round is to begin, in nanoseconds from the start of all. The first one begins
  /// at once, or, if they are random, after the first distance.
  uint64_t NextStart() {
    if (poisson_) at_ns_ += random_.Exponential(interval_ns_);
    const double start = at_ns_;
    if (!poisson_) at_ns_ += interval_ns_;
    return static_cast<uint64_t>(start);
  }

 private:
  static constexpr uint32_t kForPace = 1;

  double interval_ns_;
  bool poisson_;
  Random random_;
  /// A double counts nanoseconds exactly for a hundred days.
  double at_ns_ = 0;
};

}  // namespace faultline::workload
