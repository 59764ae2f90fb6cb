// SPDX-License-Identifier: Apache-2.0
//
// The gate of a turn: where the threads of a workload wait for each other, for the start, for the
// time of their next round, and for the end; and where the one who runs the turn says when each is.
//
// Phases only go forward. Threads look at the phase before each operation, a relaxed load of a line
// that nobody writes meanwhile, so the end reaches them within one operation wherever they are.
#pragma once

#include <atomic>
#include <cstdint>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

namespace faultline::server {

class LabGate {
 public:
  enum class Phase : uint8_t {
    kPreparing,  ///< regions are mapped, setups are carried out
    kWarmingUp,
    kMeasuring,
    kOver,
  };

  /// For that many threads, of which `counted` have a number of rounds to do.
  LabGate(uint32_t threads, uint32_t counted) : threads_(threads), counted_(counted) {}

  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_acquire); }
  /// Asked before each operation. Relaxed: nothing is read because of it.
  [[nodiscard]] bool over() const { return phase_.load(std::memory_order_relaxed) == Phase::kOver; }

  // -- For its threads ----------------------------------------------------------------------------

  /// Waits until all have come here; false: it is over.
  [[nodiscard]] bool PassTogether() ABSL_LOCKS_EXCLUDED(mutex_);
  /// It is ready; waits until all may start. When that was, by SyncClockNs; 0: it is over.
  [[nodiscard]] uint64_t AwaitStart() ABSL_LOCKS_EXCLUDED(mutex_);
  /// Waits until then, by SyncClockNs; false: it is over.
  [[nodiscard]] bool SleepUntil(uint64_t ns) ABSL_LOCKS_EXCLUDED(mutex_);
  /// It has nothing more to do: waits until it is over. `counted`: it had a number of rounds.
  enum class Done : uint8_t { kForNow, kAllRounds };
  void AwaitEnd(Done done) ABSL_LOCKS_EXCLUDED(mutex_);
  /// It is gone. The last call.
  void Left() ABSL_LOCKS_EXCLUDED(mutex_);

  // -- For who runs the turn ----------------------------------------------------------------------

  /// Waits until all are ready or it is over; false: it is over.
  [[nodiscard]] bool AwaitReady() ABSL_LOCKS_EXCLUDED(mutex_);
  /// The next phase begins.
  void Enter(Phase phase) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Waits until that time, or it is over; false: it is over.
  enum class Until : uint8_t { kTime, kTimeOrRounds };
  /// With kTimeOrRounds also until all numbers of rounds are done, if it is earlier.
  [[nodiscard]] bool AwaitTime(uint64_t ns, Until until) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Whether all that have a number of rounds have done them.
  [[nodiscard]] bool rounds_done() const ABSL_LOCKS_EXCLUDED(mutex_);
  /// Waits until all threads have left. It is over.
  void AwaitAllLeft() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  /// Waits for a change or until that time; false: the time has come.
  bool WaitLocked(uint64_t until_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint32_t threads_;
  const uint32_t counted_;
  /// Written under mutex_; alone on its line.
  alignas(128) std::atomic<Phase> phase_{Phase::kPreparing};
  alignas(128) mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  uint32_t passing_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t ready_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t rounds_done_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t left_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t started_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace faultline::server
