// SPDX-License-Identifier: Apache-2.0
//
// Statistics per lock class (Linux: CONFIG_LOCK_STAT, /proc/lock_stat): how often a rank was taken
// and waited for, how long the waits and holds were, and which wait was the longest and who held
// the lock then. Each task counts for itself, so counting shares no cache line; a snapshot adds up.
//
// Three settings, changeable at run time: off; kWaits (only contended acquisitions are counted, at
// no cost to the others); kHolds (every acquisition is, at the price of two clock reads).
// Guarantee: a snapshot taken while nothing is locked is exact.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/wait_sink.h"
#include "core/sync/duration_histogram.h"
#include "core/sync/lock_callers.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/lock_rank.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class LockStatsLevel : uint8_t { kOff, kWaits, kHolds };

/// What a snapshot says of one lock class.
struct LockClassStats {
  uint64_t shared = 0;     ///< shared acquisitions, counted with kHolds only
  uint64_t exclusive = 0;  ///< exclusive acquisitions, counted with kHolds only
  uint64_t contended = 0;  ///< acquisitions that had to wait
  uint64_t killed = 0;     ///< waits that a kill ended
  DurationHistogram wait;
  DurationHistogram hold;
  uint32_t longest_wait_holder = 0;  ///< task that held the lock when the longest wait began
};

using LockStatsSnapshot = std::array<LockClassStats, kLockRanks>;

/// Sets what is recorded, for all tasks. With lockdep on, its hooks stay on.
void SetLockStatsLevel(LockStatsLevel level);

/// Turns lockdep on or off for all tasks. Turn it on while no task holds a lock: releases of locks
/// taken before would be reported.
void SetLockdep(bool on);

/// Adds up all tasks' statistics. Concurrent counting goes on and may be half seen.
[[nodiscard]] LockStatsSnapshot SnapshotLockStats();

/// Starts all counters at zero, those by caller among them.
void ResetLockStats();

/// Receives every contended wait while the level is kWaits or higher; null for none. `sink`
/// outlives its registration and all waits that began under it.
void SetWaitSink(WaitSink* sink);

namespace detail {
/// Hands a finished wait to the sink, if there is one.
void TellWaitSink(const WaitRecord& record);
}  // namespace detail

/// One task's counters. Written by that task, read by snapshots.
class LockStatsShard {
 public:
  void CountAcquired(LockRank rank, LockMode mode);
  void CountWait(LockRank rank, uint64_t ns, uint32_t holder, bool killed);
  void CountHold(LockRank rank, uint64_t ns);
  void AddTo(LockStatsSnapshot& sum) const;
  /// Starts all at zero, those by caller among them.
  void Reset();

  /// The same task's counters by caller.
  [[nodiscard]] LockCallersShard& callers() { return callers_; }
  [[nodiscard]] const LockCallersShard& callers() const { return callers_; }

 private:
  struct alignas(kCacheLinePad) Class {
    TaskCounter shared;
    TaskCounter exclusive;
    TaskCounter killed;
    TaskCounter longest_wait_holder;
    TaskHistogram wait;
    TaskHistogram hold;
  };
  std::array<Class, kLockRanks> classes_{};
  LockCallersShard callers_;
};

}  // namespace faultline
