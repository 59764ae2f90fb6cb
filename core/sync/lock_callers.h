// SPDX-License-Identifier: Apache-2.0
//
// Lock statistics by caller: of mmap_lock and the VMA lock, who took them to do what, how long they
// waited and how long they held (Linux: the mmap_lock tracepoints, from which users compute by
// themselves what is given here).
//
// A caller is what a task says it is doing: the tag of Task::SetActivity. This folder deals in the
// bare tags; core/observe names them. A hold belongs to the tag at its acquisition, a wait to that
// at its end. A downgraded hold is two: an exclusive one that ends there and a shared one.
// Memory: a task gets counters for a combination of lock, tag and mode when it first meets it, so
// switched-off statistics cost one array of pointers for each task.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/build.h"
#include "core/sync/duration_histogram.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/lock_rank.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How many activity tags are told apart; what lies above is counted as the last one.
inline constexpr uint16_t kCallerTags = 24;

/// The ranks that are counted by caller.
inline constexpr std::array kRanksByCaller = {LockRank::kMmapLock, LockRank::kVmaLock};

/// What one kind of caller did with one lock class in one mode.
struct LockCallerStats {
  uint64_t acquired = 0;   ///< counted with kHolds only
  uint64_t contended = 0;  ///< acquisitions that had to wait
  uint64_t killed = 0;     ///< waits that a kill ended
  DurationHistogram wait;
  DurationHistogram hold;
  uint32_t longest_wait_holder = 0;  ///< task that held the lock when the longest wait began

  /// Whether nothing was counted.
  [[nodiscard]] bool empty() const { return acquired == 0 && contended == 0 && hold.count == 0; }
};

/// What a snapshot says of all callers. Plain data on the heap: about 60 KiB.
class LockStatsByCaller {
 public:
  LockStatsByCaller() : stats_(kSlots) {}

  /// `rank` is one of kRanksByCaller. Tags from kCallerTags - 1 on are one.
  [[nodiscard]] const LockCallerStats& Of(LockRank rank, uint16_t tag, LockMode mode) const {
    return stats_[SlotOf(rank, tag, mode)];
  }

 private:
  friend class LockCallersShard;
  static constexpr size_t kModes = 2;
  static constexpr size_t kSlots = kRanksByCaller.size() * kCallerTags * kModes;

  static size_t SlotOf(LockRank rank, uint16_t tag, LockMode mode);

  std::vector<LockCallerStats> stats_;
};

/// Adds up all tasks' statistics by caller. Concurrent counting goes on and may be half seen.
/// Switched and reset together with the rest: SetLockStatsLevel, ResetLockStats.
[[nodiscard]] LockStatsByCaller SnapshotLockStatsByCaller();

/// One task's counters by caller. Written by that task, read by snapshots. Ranks that are not
/// counted by caller are ignored.
class LockCallersShard {
 public:
  LockCallersShard() = default;
  ~LockCallersShard();
  LockCallersShard(const LockCallersShard&) = delete;
  LockCallersShard& operator=(const LockCallersShard&) = delete;

  /// Who acts on which lock.
  struct Caller {
    LockRank rank;
    uint16_t tag;
    LockMode mode;
  };
  void CountAcquired(Caller caller);
  void CountWait(Caller caller, uint64_t ns, uint32_t holder, bool killed);
  void CountHold(Caller caller, uint64_t ns);
  void AddTo(LockStatsByCaller& sum) const;
  void Reset();

 private:
  struct Counts {
    TaskCounter acquired;
    TaskCounter killed;
    TaskCounter longest_wait_holder;
    TaskHistogram wait;
    TaskHistogram hold;
  };

  static bool IsCounted(LockRank rank);
  Counts& Of(Caller caller);

  // Set once, by the task itself; then constant until the shard ends.
  std::array<std::atomic<Counts*>, LockStatsByCaller::kSlots> counts_{};
};

}  // namespace faultline
