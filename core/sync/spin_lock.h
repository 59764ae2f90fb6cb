// SPDX-License-Identifier: Apache-2.0
//
// Spinlocks (Linux: spinlock_t). Four bytes: the word is 0 when free and the holder's task id when
// held, so "who holds it" costs nothing. Test-and-set with a read-only wait, not queued: in user
// space a queue would make everyone wait for a preempted waiter.
//
// Protocol: Lock pairs its acquire with the release of the Unlock that freed the word. A holder
// must not sleep (lockdep: `context`). `RawSpinLock` is the bare lock for the inside of other
// locks; everyone else uses `SpinLock<rank>`, which reports to the hooks. Guarantee: at most one
// task is between Lock and Unlock.
#pragma once

#include <cstdint>

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/sync/atomic.h"
#include "core/sync/atomic_step.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/spin.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A spinlock that tells no one. For core/sync only.
class RawSpinLock {
 public:
  RawSpinLock() = default;

  FAULTLINE_ALWAYS_INLINE void Lock(Task& self, SourceLoc where) {
    const auto is_free = [this, where] { return word_.Load(kRelaxed, where) == 0; };
    const AtomicStep step(LockDetail::kAll, OpKind::kSpinLock, this, where, is_free);
    uint32_t expected = 0;
    // Relaxed on failure: nothing was learnt. Acquire pairs with Unlock.
    while (!word_.CompareExchange(expected, self.id(), kAcquire, kRelaxed, where)) [[unlikely]] {
      SpinUntil(is_free, where);
      expected = 0;
    }
  }
  [[nodiscard]] FAULTLINE_ALWAYS_INLINE bool TryLock(Task& self, SourceLoc where) {
    const AtomicStep step(LockDetail::kAll, OpKind::kTryLock, this, where);
    uint32_t expected = 0;
    return word_.CompareExchange(expected, self.id(), kAcquire, kRelaxed, where);
  }
  FAULTLINE_ALWAYS_INLINE void Unlock(SourceLoc where) {
    const AtomicStep step(LockDetail::kAll, OpKind::kSpinUnlock, this, where);
    word_.Store(0, kRelease, where);  // pairs with Lock and TryLock
  }
  /// The holder's task id, 0 if free. A hint unless the caller is the holder.
  [[nodiscard]] uint32_t holder() const { return word_.Peek(); }

 private:
  Atomic<uint32_t> word_{0};
};

template <LockRank kRank>
class ABSL_LOCKABLE SpinLock {
  static_assert(Info(kRank).kind == LockKind::kSpinning, "this rank is for sleeping locks");

 public:
  SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  /// Takes the lock, busy waiting. Legal in any context. Not recursive.
  FAULTLINE_ALWAYS_INLINE void Lock(LockSubclass subclass = LockSubclass::kNormal,
                                    SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    Task& self = CurrentTask();
    const bool hooked = (self.hooks() & kHooks) != 0;
    if (hooked) [[unlikely]]
      HookWillAcquire(self, Id(), LockMode::kExclusive, subclass, where);
    if constexpr (kModelled) {
      raw_.Lock(self, where);  // one step, eligible once the lock is free: there is no contention
    } else {
      if (!raw_.TryLock(self, where)) [[unlikely]]
        LockContended(self, where);
    }
    if (hooked) [[unlikely]] {
      HookAcquired(self, Id(), LockMode::kExclusive, subclass, Acquisition::kBlocking, where);
    }
  }

  /// Takes the lock if it is free.
  [[nodiscard]] FAULTLINE_ALWAYS_INLINE bool TryLock(SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    Task& self = CurrentTask();
    if (!raw_.TryLock(self, where)) return false;
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
    MM_DCHECK_EQ(raw_.holder(), self.id());  // after lockdep, whose report says more
    raw_.Unlock(where);
  }

  /// The holder's task id, 0 if free; a hint unless the caller is the holder.
  [[nodiscard]] uint32_t holder() const { return raw_.holder(); }

  /// Tells the analysis, and in checked builds checks, that the calling task holds the lock.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {
    MM_DCHECK_EQ(raw_.holder(), CurrentTask().id());
  }

 private:
  static constexpr uint32_t kHooks = kHookLockdep | kHookHolds;

  [[nodiscard]] LockId Id() const { return {this, kRank}; }

  FAULTLINE_NOINLINE void LockContended(Task& self, SourceLoc where) {
    const LockWait wait(self, Id(), LockMode::kExclusive, raw_.holder());
    raw_.Lock(self, where);
  }

  RawSpinLock raw_;
};

}  // namespace faultline
