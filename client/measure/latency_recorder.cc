// SPDX-License-Identifier: Apache-2.0
//
// From times to histograms. Differences stop at 0: a clock that is read on two CPUs may be a
// nanosecond back, and 2^64 nanoseconds of it would be the greatest latency for ever.
#include "client/measure/latency_recorder.h"

#include <algorithm>
#include <cstdint>

namespace faultline::client {
namespace {

uint64_t Between(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

}  // namespace

void LatencyRecorder::RecordPaced(const OperationTimes& times) {
  latency_.Record(Between(std::min(times.intended, times.started), times.ended));
  service_time_.Record(Between(times.started, times.ended));
  lag_.Record(Between(times.intended, times.started));
}

void LatencyRecorder::RecordUnpaced(uint64_t started, uint64_t ended) {
  RecordPaced({.intended = started, .started = started, .ended = ended});
}

void LatencyRecorder::Merge(const LatencyRecorder& other) {
  latency_.Merge(other.latency_);
  service_time_.Merge(other.service_time_);
  lag_.Merge(other.lag_);
  skipped_ += other.skipped_;
}

}  // namespace faultline::client
