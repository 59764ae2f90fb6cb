// SPDX-License-Identifier: Apache-2.0
//
// Interleaved pairs: how two things are compared on a machine that others use, too. Subject and
// peer take turns in short windows (A B, B A, A B ...) within one process; the figure is the median
// of the ratios of the pairs. A window in which others used much of the machine is measured again,
// a few times at most.
//
// Invariant: threads are pinned, thread i to CPU i modulo the number of CPUs; nothing is shared
// between them but what the subject itself shares.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/sync/sync_clock.h"

namespace faultline::bench {

/// Written data of different subjects and threads keep this distance: two lines, since the
/// prefetcher pairs them.
inline constexpr size_t kApart = 128;

/// Monotonic time, signed: differences and deadlines are computed with it.
inline int64_t NowNs() { return static_cast<int64_t>(SyncClockNs()); }

/// Pins the calling thread to that CPU, modulo the number of CPUs.
void PinToCpu(int index);

/// Runs on each thread of a window, as thread `index`, until `stop`; returns how many operations it
/// made.
using WindowBody = std::function<uint64_t(int index, const std::atomic<bool>& stop)>;

/// A window's body from an operation: looks at `stop` only now and then, so that the cost of an
/// operation of a nanosecond is seen.
template <class Op>
uint64_t RepeatUntil(const std::atomic<bool>& stop, Op& op) {
  constexpr int kBatch = 256;
  uint64_t count = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    for (int i = 0; i < kBatch; ++i) op();
    count += kBatch;
  }
  return count;
}

struct Subject {
  std::string name;
  WindowBody body;
};

struct PairOptions {
  int pairs = 7;
  double window_seconds = 0.2;
  double foreign_cores = 0.15;  ///< a window with more than this is measured again
  int attempts = 3;             ///< at most, per window
};

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};

/// Of values, at least one.
[[nodiscard]] Spread SpreadOf(std::vector<double> values);

/// Meters the CPU that others use from its construction on: what the machine was busy with, stolen
/// time included, and this process was not. Exact to a few ticks of the kernel's accounting.
class ForeignMeter {
 public:
  ForeignMeter();
  /// Cores that others used so far, on average.
  [[nodiscard]] double Cores() const;

 private:
  std::chrono::steady_clock::time_point start_;
  double busy_before_;
};

struct PairResult {
  Spread subject_ns;  ///< per operation and thread: wall time times threads by operations
  Spread peer_ns;
  Spread ratio;  ///< subject by peer, of the windows of one pair
  int windows = 0;
  int redone = 0;  ///< measured and thrown away
  int dirty = 0;   ///< kept although others were busy: the attempts were used up
};

/// Compares them with that many threads.
[[nodiscard]] PairResult RunPairs(const Subject& subject, const Subject& peer, int threads,
                                  const PairOptions& options);

}  // namespace faultline::bench
