// SPDX-License-Identifier: Apache-2.0
//
// Sleeping mutex (Linux: struct mutex, kernel/locking/mutex.c). The word holds the owner's task id,
// 0 when free, plus a bit while waiters are queued.
//
// A release wakes the first waiter, which then competes with newcomers (no convoy); a waiter that
// was woken once and lost is handed the mutex by the next release (no starvation). Killable.
// Guarantees: one owner at a time; with owners leaving, every waiter gets in.
#pragma once

#include <cstdint>

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/sync/atomic.h"
#include "core/sync/atomic_step.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/task.h"
#include "core/sync/wait_list.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The mutex without rank and hooks: the algorithm. For Mutex only.
class RawMutex {
 public:
  FAULTLINE_ALWAYS_INLINE bool TryLock(uint32_t id, SourceLoc where) {
    uint32_t expected = 0;
    return word_.CompareExchange(expected, id, kAcquire, kRelaxed, where);  // pairs with Unlock
  }
  [[nodiscard]] bool LockSlow(Task& self, LockId id, Killable killable, SourceLoc where);
  FAULTLINE_ALWAYS_INLINE void Unlock(Task& self, SourceLoc where) {
    uint32_t expected = self.id();
    // Release pairs with the next owner's acquire. Fails only if waiters are queued.
    if (!word_.CompareExchange(expected, 0, kRelease, kRelaxed, where)) [[unlikely]] {
      UnlockSlow(self, where);
    }
  }
  /// The owner's task id, 0 if free; a hint unless the caller is the owner.
  [[nodiscard]] uint32_t owner() const { return word_.Peek() & ~kWaiters; }

 private:
  static constexpr uint32_t kWaiters = 1u << 31;  // written under queue_.lock only
  // Chosen by measurement, see docs/benchmarks.md: about what a sleep and a wake-up cost.
  static constexpr SpinBudget kSpin{1000};
  static constexpr int kMaxLostRaces = 8;

  FAULTLINE_NOINLINE void UnlockSlow(Task& self, SourceLoc where);
  [[nodiscard]] bool SpinForIt(uint32_t id, SourceLoc where);
  [[nodiscard]] bool TakeLocked(uint32_t id, SourceLoc where);
  [[nodiscard]] bool Wait(Task& self, LockWaiter& waiter, Killable killable, SourceLoc where);
  [[nodiscard]] bool Withdraw(Task& self, LockWaiter& waiter, SourceLoc where);
  void DequeueLocked(LockWaiter& waiter, SourceLoc where);

  Atomic<uint32_t> word_{0};
  WaitList queue_;
};

template <LockRank kRank>
class ABSL_LOCKABLE Mutex {
  static_assert(Info(kRank).kind == LockKind::kSleeping, "this rank is for spinlocks");

 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  /// Takes the mutex; may sleep. Not recursive.
  FAULTLINE_ALWAYS_INLINE void Lock(LockSubclass subclass = LockSubclass::kNormal,
                                    SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    (void)Acquire(subclass, Killable::kNo, where);
  }
  /// As Lock, but a killed task gives up, and one in a NoWaitScope does so at once. True: held.
  /// False: killed (EINTR), or it would have to wait; nothing is held. A bool, not a Result, for
  /// the thread-safety analysis to follow.
  [[nodiscard]] bool LockKillable(LockSubclass subclass = LockSubclass::kNormal,
                                  SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    return Acquire(subclass, Killable::kYes, where);
  }
  [[nodiscard]] bool TryLock(SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    Task& self = CurrentTask();
    const AtomicStep step(LockDetail::kSleeping, OpKind::kTryLock, this, where);
    if (!raw_.TryLock(self.id(), where)) return false;
    if ((self.hooks() & kHooks) != 0) [[unlikely]] {
      HookAcquired(self, Id(), LockMode::kExclusive, LockSubclass::kNormal, Acquisition::kTry,
                   where);
    }
    return true;
  }
  FAULTLINE_ALWAYS_INLINE void Unlock(SourceLoc where = SourceLoc::Current())
      ABSL_UNLOCK_FUNCTION() {
    Task& self = CurrentTask();
    if ((self.hooks() & kHooks) != 0) [[unlikely]] {
      HookReleased(self, Id(), LockMode::kExclusive, where);
    }
    MM_DCHECK_EQ(raw_.owner(), self.id());  // after lockdep, whose report says more
    const AtomicStep step(LockDetail::kSleeping, OpKind::kUnlock, this, where);
    raw_.Unlock(self, where);
  }

  /// The owner's task id, 0 if free; a hint unless the caller is the owner.
  [[nodiscard]] uint32_t owner() const { return raw_.owner(); }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {
    MM_DCHECK_EQ(raw_.owner(), CurrentTask().id());
  }

 private:
  static constexpr uint32_t kHooks = kHookLockdep | kHookHolds;

  [[nodiscard]] LockId Id() const { return {this, kRank}; }

  FAULTLINE_ALWAYS_INLINE bool Acquire(LockSubclass subclass, Killable killable, SourceLoc where) {
    Task& self = CurrentTask();
    const bool hooked = (self.hooks() & kHooks) != 0;
    if (hooked) [[unlikely]]
      HookWillAcquire(self, Id(), LockMode::kExclusive, subclass, where);
    {
      const AtomicStep step(LockDetail::kSleeping, OpKind::kLock, this, where);
      if (!raw_.TryLock(self.id(), where)) [[unlikely]] {
        if (!raw_.LockSlow(self, Id(), killable, where)) return false;
      }
    }
    if (hooked) [[unlikely]] {
      HookAcquired(self, Id(), LockMode::kExclusive, subclass, Acquisition::kBlocking, where);
    }
    return true;
  }

  RawMutex raw_;
};

}  // namespace faultline
