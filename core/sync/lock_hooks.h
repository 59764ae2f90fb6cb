// SPDX-License-Identifier: Apache-2.0
//
// What every lock tells about itself: the calls by which lock classes report acquisition, release
// and waiting to lockdep (lockdep.h) and to the lock statistics (lock_stats.h). Linux: the
// lock_acquire()/lock_contended()/lock_acquired() annotations of lockdep and lock_stat.
//
// Each task carries a small mask of active hooks. With the mask empty, which is the default of a
// release build, a lock operation pays one load and one untaken branch of the task's own cache
// line; sync_bench prints that cost and the cost with each hook on.
// Guarantee: hooks never change who gets a lock.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/lock_rank.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Task;

enum class LockMode : uint8_t { kShared, kExclusive };

/// How an acquisition was made. A try-acquisition cannot deadlock by itself, so lockdep lets it
/// break the order, yet what is then acquired under it is checked against it (B3, B4).
enum class Acquisition : uint8_t { kBlocking, kTry };

/// One lock as hooks see it.
struct LockId {
  const void* address;
  LockRank rank;
};

/// A wait for a lock that has ended. ns 0: none.
struct EndedWait {
  LockRank rank = LockRank::kCount;
  uint16_t holder_activity = 0;  ///< what the holder was doing when it began, 0 if unknown
  uint32_t holder = 0;           ///< task that held the lock when it began, 0 if unknown
  uint64_t ns = 0;
};

/// Bits of a task's hook mask.
enum LockHook : uint32_t {
  kHookLockdep = 1u << 0,  ///< order, mode and context checks
  kHookWaits = 1u << 1,    ///< contended acquisitions: counts, wait times, who held the lock
  kHookHolds = 1u << 2,    ///< every acquisition: counts and hold times (reads a clock twice)
};
/// The hooks that keep a task's chain of held locks.
inline constexpr uint32_t kHooksThatTrack = kHookLockdep | kHookHolds;
/// From this bit up the mask counts how often tracking was switched on: a chain kept before that
/// misses what was released in between, so it is void.
inline constexpr int kHookEraShift = 8;

/// Called before an acquisition that may block. Ends in a report if it would break the order.
void HookWillAcquire(Task& task, LockId lock, LockMode mode, LockSubclass subclass,
                     SourceLoc where);
/// Called once the lock is held.
void HookAcquired(Task& task, LockId lock, LockMode mode, LockSubclass subclass,
                  Acquisition acquisition, SourceLoc where);
/// Called right before the lock is released.
void HookReleased(Task& task, LockId lock, LockMode mode, SourceLoc where);
/// Called right before an exclusive hold becomes a shared one.
void HookDowngraded(Task& task, LockId lock, SourceLoc where);

namespace detail {
/// What the task with that id is doing (Task::SetActivity); 0 if that is not known.
[[nodiscard]] uint16_t ActivityOfTask(uint32_t id);
}  // namespace detail

/// Brackets a contended wait: names what the task waits for (deadlock reports read it) and, with
/// kHookWaits, records how long and who held the lock when the wait began. Of a task whose faults
/// are recorded it also keeps the longest wait (Task::longest_wait). On slow paths only.
class LockWait {
 public:
  /// `holder` is the id of the task that holds the lock exclusively, 0 if that is not known.
  LockWait(Task& task, LockId lock, LockMode mode, uint32_t holder);
  ~LockWait();
  LockWait(const LockWait&) = delete;
  LockWait& operator=(const LockWait&) = delete;

  /// The wait ended because the task was killed, not because it got the lock.
  void MarkKilled() { killed_ = true; }

 private:
  void Count(uint64_t waited) const;

  Task& task_;
  LockId lock_;
  LockMode mode_;
  bool killed_ = false;
  bool counted_ = false;  // kHookWaits was set when the wait began
  uint32_t holder_;
  uint16_t holder_activity_ = 0;
  uint64_t begin_ = 0;
};

}  // namespace faultline
