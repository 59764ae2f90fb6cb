// SPDX-License-Identifier: Apache-2.0
//
// How faults fared: on which rung they ended and as what kind, why they left the others, and what
// they allocated in vain. Linux counts four things under CONFIG_PER_VMA_LOCK_STATS, and here they
// are counted by its rules (B17):
//   SUCCESS  ended under the VMA lock, whatever the outcome: bad access, SIGBUS, OOM included
//   ABORT    gave up before it had the lock
//   RETRY    had the lock, but the handler asked for mmap_lock
//   MISS     found the VMA detached and looked it up again; not an end, it may happen several times
//
// A fault that ends on the rung it tried first is one increment, of about 1 ns: rung and kind are
// one index. How many entered a
// rung is derived from how many ended there or left. Counted for each CPU (sharded_counters.h).
// Guarantee: exact whenever no fault is under way; then every fault has ended on exactly one rung.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/build.h"
#include "core/base/check.h"
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

/// FaultStats at one moment, or sums and differences of that. Plain data.
struct FaultStatsSnapshot {
  static constexpr auto kRungs = static_cast<size_t>(FaultRung::kCount);
  static constexpr auto kReasons = static_cast<size_t>(LeaveReason::kCount);
  static constexpr auto kKinds = static_cast<size_t>(FaultKind::kCount);

  /// By rung and reason: faults that left it for that reason; under kNone, those that ended there.
  std::array<std::array<int64_t, kReasons>, kRungs> by_reason{};
  /// By rung and kind: faults that ended there.
  std::array<std::array<int64_t, kKinds>, kRungs> by_kind{};
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
  /// Faults that ended, on whichever rung; and those of one kind.
  [[nodiscard]] int64_t Ended() const;
  [[nodiscard]] int64_t Ended(FaultKind kind) const;
  /// Linux's SUCCESS.
  [[nodiscard]] int64_t vma_lock_success() const { return Succeeded(FaultRung::kVmaLock); }

  FaultStatsSnapshot& operator+=(const FaultStatsSnapshot& other);
  FaultStatsSnapshot& operator-=(const FaultStatsSnapshot& other);
  friend bool operator==(const FaultStatsSnapshot&, const FaultStatsSnapshot&) = default;
};

/// Counts of all faults of one mm or one machine.
class FaultStats {
 public:
  explicit FaultStats(const CpuSet& cpus) : exits_(cpus), counters_(cpus) {}

  /// The fault ended on the rung, whatever the outcome, which the kind tells.
  void Succeeded(FaultRung rung, FaultKind kind) { exits_.Add(EndOf(rung, kind), 1); }
  /// The fault left the rung for a reason, or did not get onto it, and goes on elsewhere. For the
  /// VMA lock after an attempt use the two below instead. An amount of -1 takes it back, for a
  /// fault that will be made again (NoWaitScope).
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

  /// Since the last reset.
  [[nodiscard]] FaultStatsSnapshot Snapshot() const;
  /// Since the beginning, resets or not.
  [[nodiscard]] FaultStatsSnapshot Totals() const;
  /// Starts all at zero and returns what there was. A fault that ends meanwhile counts on one side
  /// of it. One caller at a time.
  FaultStatsSnapshot Reset();

 private:
  /// A rung with a reason for leaving it, or with a kind, as one index: the enumerators have no
  /// names.
  static constexpr size_t kExitsOfRung =
      FaultStatsSnapshot::kReasons - 1 + FaultStatsSnapshot::kKinds;
  enum class Exit : uint8_t { kCount = FaultStatsSnapshot::kRungs * kExitsOfRung };
  static constexpr Exit EndOf(FaultRung rung, FaultKind kind) {
    return static_cast<Exit>(static_cast<size_t>(rung) * kExitsOfRung + static_cast<size_t>(kind));
  }
  static constexpr Exit ExitOf(FaultRung rung, LeaveReason reason) {
    MM_DCHECK(reason != LeaveReason::kNone);
    return static_cast<Exit>(static_cast<size_t>(rung) * kExitsOfRung + FaultStatsSnapshot::kKinds +
                             static_cast<size_t>(reason) - 1);
  }
  template <class Read, class ReadCounter>
  static FaultStatsSnapshot Collect(const Read& exit, const ReadCounter& counter);

  ShardedCounters<Exit> exits_;
  ShardedCounters<FaultCounter> counters_;
};

}  // namespace faultline
