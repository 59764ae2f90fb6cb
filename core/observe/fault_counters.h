// SPDX-License-Identifier: Apache-2.0
//
// How faults fared: on which rung they ended, why they left the others, and what they allocated in
// vain. Linux counts four things under CONFIG_PER_VMA_LOCK_STATS, and here they are counted by its
// rules (B17):
//   SUCCESS  ended under the VMA lock, whatever the outcome: bad access, SIGBUS, OOM included
//   ABORT    gave up before it had the lock
//   RETRY    had the lock, but the handler asked for mmap_lock
//   MISS     found the VMA detached and looked it up again; not an end, it may happen several times
//
// A fault that ends on the rung it tried first is one increment, of about 1 ns. How many entered a
// rung is derived from how many ended there or left. Counted for each CPU (sharded_counters.h).
// Guarantee: exact whenever no fault is under way; then every fault has ended on exactly one rung.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/build.h"
#include "core/observe/fault_reasons.h"
#include "core/observe/sharded_counters.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What is counted beside rungs and reasons.
enum class FaultCounter : uint8_t {
  kVmaLockAbort,       ///< see above
  kVmaLockRetry,       ///< see above
  kVmaLockMiss,        ///< see above
  kTablesAllocated,    ///< page tables that faults allocated
  kTablesUnused,       ///< of these, given back: lost the race, bad address, or nothing to map
  kTableFailures,      ///< page tables that could not be had in the context that asked
  kReclaimRetries,     ///< faults that began again after reclaim was done for them
  kFruitlessReclaims,  ///< faults that found nothing to reclaim and went on a rung further down
  kCount
};

[[nodiscard]] std::string_view Name(FaultCounter counter);

/// FaultStats at one moment. Plain data.
struct FaultStatsSnapshot {
  static constexpr auto kRungs = static_cast<size_t>(FaultRung::kCount);
  static constexpr auto kReasons = static_cast<size_t>(LeaveReason::kCount);

  /// By rung and reason: faults that left it for that reason; under kNone, those that ended there.
  std::array<std::array<int64_t, kReasons>, kRungs> by_reason{};
  std::array<int64_t, static_cast<size_t>(FaultCounter::kCount)> counters{};

  [[nodiscard]] int64_t Count(FaultCounter counter) const {
    return counters[static_cast<size_t>(counter)];
  }
  /// Faults that ended on the rung.
  [[nodiscard]] int64_t Succeeded(FaultRung rung) const { return Left(rung, LeaveReason::kNone); }
  /// Faults that left the rung for that reason.
  [[nodiscard]] int64_t Left(FaultRung rung, LeaveReason reason) const {
    return by_reason[static_cast<size_t>(rung)][static_cast<size_t>(reason)];
  }
  /// Faults that left the rung, whether they had got onto it or only tried.
  [[nodiscard]] int64_t Left(FaultRung rung) const;
  /// How often the rung was tried. A fault that comes back to it tries it again; one of kernel mode
  /// does not try the upper ones.
  [[nodiscard]] int64_t Entered(FaultRung rung) const;
  /// Faults that ended, on whichever rung.
  [[nodiscard]] int64_t Ended() const;
  /// Linux's SUCCESS.
  [[nodiscard]] int64_t vma_lock_success() const { return Succeeded(FaultRung::kVmaLock); }
};

/// Counts of all faults of one mm or one machine.
class FaultStats {
 public:
  explicit FaultStats(const CpuSet& cpus) : exits_(cpus), counters_(cpus) {}

  /// The fault ended on the rung, whatever the outcome.
  void Succeeded(FaultRung rung) { Left(rung, LeaveReason::kNone); }
  /// The fault left the rung, or did not get onto it, and goes on elsewhere. For the VMA lock after
  /// an attempt use the two below instead.
  /// An amount of -1 takes it back, for a fault that will be made again (NoWaitScope).
  void Left(FaultRung rung, LeaveReason reason, int64_t amount = 1) {
    exits_.Add(ExitOf(rung, reason), amount);
  }
  /// The fault gave up the VMA lock before it had it.
  void VmaLockAborted(LeaveReason reason, int64_t amount = 1) {
    Left(FaultRung::kVmaLock, reason, amount);
    Count(FaultCounter::kVmaLockAbort, amount);
  }
  /// The fault had the VMA lock and must do it again under mmap_lock.
  void VmaLockRetried(LeaveReason reason, int64_t amount = 1) {
    Left(FaultRung::kVmaLock, reason, amount);
    Count(FaultCounter::kVmaLockRetry, amount);
  }
  void Count(FaultCounter counter, int64_t amount = 1) { counters_.Add(counter, amount); }

  [[nodiscard]] FaultStatsSnapshot Snapshot() const;
  /// Starts all at zero. A fault that ends meanwhile counts on one side of it.
  void Reset();

 private:
  /// A rung and a reason as one index: the enumerators have no names.
  enum class Exit : uint8_t { kCount = FaultStatsSnapshot::kRungs * FaultStatsSnapshot::kReasons };
  static constexpr Exit ExitOf(FaultRung rung, LeaveReason reason) {
    return static_cast<Exit>(static_cast<size_t>(rung) * FaultStatsSnapshot::kReasons +
                             static_cast<size_t>(reason));
  }

  ShardedCounters<Exit> exits_;
  ShardedCounters<FaultCounter> counters_;
};

}  // namespace faultline
