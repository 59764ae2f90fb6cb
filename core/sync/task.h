// SPDX-License-Identifier: Apache-2.0
//
// A task: one thread of the simulated machine (Linux: task_struct, and of it only what locking
// needs). In the native build a task is an OS thread, attached on first use; in the modelled build
// it is a fiber. A task is not a CPU: it runs on the CPU slot it was given (per_cpu.h).
//
// Everything that waits ends up in `Task::Park`. Parking is token based: Unpark leaves a token,
// Park consumes one or sleeps for it, so a wake-up that comes first is not lost. A stale token
// makes one later Park return at once; every caller therefore loops on its own condition.
//
// Invariant: Task memory is type-stable for the life of the process (native) or of the run
// (modelled), so that a waker may still call Unpark on a task that has just gone on its way.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>  // lint-allow(core_stays_pure): the generators are seeded
#include <string_view>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/base/types.h"
#include "core/sync/atomic.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/lockdep.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class LockStatsShard;
class FaultEventRing;

class Task {
 public:
  Task() = default;
  /// For a task that no registry and no execution knows. `id` is not 0.
  explicit Task(uint32_t id) : id_(id) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  /// Unique among live tasks, never 0. Lock words store it as "held by".
  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] std::string_view name() const { return name_; }

  /// The CPU slot that per-CPU data of this task is reached through (see PreemptOff).
  [[nodiscard]] uint32_t cpu() const { return cpu_; }

  /// Blocks the calling task until a token is there, and takes it. May sleep; the caller holds no
  /// spinlock and is in no RCU section and no NoWaitScope. Callers loop: tokens may be stale.
  static void Park(SourceLoc where = SourceLoc::Current());

  /// Leaves this task a token and wakes it if it is parked. Callable from any task, under any lock.
  void Unpark(SourceLoc where = SourceLoc::Current());

  /// Makes killable waits of this task end with EINTR, now and later, until ClearKill (Linux: a
  /// pending fatal signal). A cancelled or expired call is one.
  void Kill();
  void ClearKill() { killed_.Store(0, kRelaxed); }  // relaxed: only this task's own waits look
  [[nodiscard]] bool killed(SourceLoc where = SourceLoc::Current()) const {
    return killed_.Load(kAcquire, where) != 0;  // pairs with Kill
  }

  /// Tags what the task is doing (an operation or fault kind); wait records carry the tag of waiter
  /// and holder. 0 means none.
  void SetActivity(uint16_t tag) { activity_.store(tag, kRelaxed); }
  [[nodiscard]] uint16_t activity() const { return activity_.load(kRelaxed); }

  /// A random number from this task's own generator, which is seeded by the task's id (modelled:
  /// the same numbers in every run). The upper bits are the better ones.
  [[nodiscard]] uint64_t Random() { return random_(); }

  // -- For the sync layer itself --------------------------------------------------------------

  /// The mask of LockHook bits in force for this task.
  [[nodiscard]] FAULTLINE_ALWAYS_INLINE uint32_t hooks() const { return hooks_.load(kRelaxed); }
  void set_hooks(uint32_t hooks) { hooks_.store(hooks, kRelaxed); }

  /// Starts the chain of held locks anew if tracking was off since it was kept.
  void DropStaleHolds() {
    const uint32_t era = hooks() >> kHookEraShift;
    if (era != held_era) held.Clear();
    held_era = era;
  }

  /// Keeps `wait` if it is the longest.
  void NoteWait(const EndedWait& wait) {
    if (wait.ns > longest_wait.ns) longest_wait = wait;
  }

  HeldLocks held;                   ///< maintained by the hooks while lockdep or hold times are on
  uint32_t held_era = 0;            ///< when `held` was kept, see kHookEraShift
  LockId waiting_for{};             ///< set while in a LockWait; address null otherwise
  uint32_t waiting_holder = 0;      ///< who held `waiting_for` when the wait began; 0 if unknown
  uint32_t preempt_off = 0;         ///< depth of PreemptOff scopes
  LockStatsShard* stats = nullptr;  ///< this task's share of the statistics; owned by the registry

  // -- For the layers above; touched by the task alone ----------------------------------------

  uint32_t alloc_scope = 0;  ///< what its allocations may not do (core/folio/alloc_scope.h)
  /// Depth of NoWaitScopes (core/folio/no_wait_scope.h): in one, its killable waits give up at
  /// once.
  uint32_t no_wait = 0;
  FaultEventRing* fault_events = nullptr;  ///< where its faults are recorded; not owned; null: not
  /// Its longest wait for a lock since whoever asks emptied this; kept while fault_events is set or
  /// waits are counted.
  EndedWait longest_wait;

 private:
  friend class TaskRegistry;  // native: gives out ids and slots
  friend class TaskLoan;      // native: lends what is parked
  friend class Execution;     // modelled: likewise

  /// Native: whether its thread waits in Park for a token that has not come.
  [[nodiscard]] bool IsParked() const;

  uint32_t id_ = 0;
  // std::atomic, not Atomic: instrumentation is not part of the modelled machine and must not be a
  // scheduling point. Relaxed: switches and tags order nothing.
  std::atomic<uint32_t> hooks_{0};
  uint32_t cpu_ = 0;
  std::atomic<uint16_t> activity_{0};
  std::string_view name_ = "task";
  std::linear_congruential_engine<uint64_t, 6364136223846793005u, 1442695040888963407u, 0> random_;
  Atomic<uint32_t> token_{0};  ///< parker state; see task.cc of the flavour
  Atomic<uint32_t> killed_{0};
};

}  // namespace faultline

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/current_task.h"
#else
#include "core/sync/native/current_task.h"
#endif
