// SPDX-License-Identifier: Apache-2.0
//
// Reader-writer semaphore (Linux: struct rw_semaphore, kernel/locking/rwsem.c): mmap_lock, i_mmap,
// anon_vma. Sleeping, killable, downgradable; fair unless told otherwise.
//
// The state word: bit 0 a writer holds, bit 1 waiters are queued, from bit 8 the number of readers.
// A reader announces itself by adding to the count and looks at what was there before; that
// announcement *is* its hold if no writer holds and, in a fair semaphore, nobody waits (B6).
// Otherwise it queues and takes the announcement back. Whoever leaves the word without a holder
// while waiters are queued passes the semaphore on, under the queue's lock: to the first waiter if
// that is a writer, else to every queued reader, so a writer waits for one batch of readers at
// most.
//
// Guarantees: never a writer beside another holder; a waiting writer blocks readers that come after
// it (fair); with every holder leaving, every waiter gets in; Downgrade admits readers and at no
// moment a writer (B7).
#pragma once

#include <cstdint>

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/sync/atomic.h"
#include "core/sync/atomic_step.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/task.h"
#include "core/sync/wait_list.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How a semaphore treats those who wait; subjects of study, so changeable while it is not held.
struct RwSemPolicy {
  /// A waiting writer blocks later readers. Off: readers pass waiting writers, who may starve.
  bool fair = true;
  /// A release hands the semaphore to the first waiter, if that is a writer. Off: it only wakes
  /// that writer, another may come first; a writer that lost once is handed it the next time.
  bool handoff = true;
  /// How long a waiter spins before it queues, as long as nobody else waits, and again before it
  /// sleeps; 0 is never. The default was chosen by measurement, see docs/benchmarks.md.
  SpinBudget spin{1000};
};

/// The semaphore without rank and hooks: the algorithm. For RwSem only.
class RawRwSem {
 public:
  explicit RawRwSem(const RwSemPolicy& policy) : policy_(policy) {}

  FAULTLINE_ALWAYS_INLINE bool TryReadFast(SourceLoc where) {
    // Acquire pairs with the releases that give up or downgrade a write hold.
    return ReadAdmitted(state_.FetchAdd(kReader, kAcquire, where));
  }
  FAULTLINE_ALWAYS_INLINE bool TryWriteFast(SourceLoc where) {
    uint32_t expected = 0;
    return state_.CompareExchange(expected, kWriter, kAcquire, kRelaxed, where);
  }
  /// After a failed TryReadFast: waits for a read hold. False if killed or not to wait.
  [[nodiscard]] bool ReadSlow(Task& self, LockId id, Killable killable, SourceLoc where);
  /// After a failed TryWriteFast: waits for the write hold. False if killed or not to wait.
  [[nodiscard]] bool WriteSlow(Task& self, LockId id, Killable killable, SourceLoc where);
  /// Takes a read hold if no waiting is needed.
  [[nodiscard]] bool TryRead(SourceLoc where);

  FAULTLINE_ALWAYS_INLINE void ReadUnlock(SourceLoc where) {
    if (MutantOn(Mutant::kRwSemLosesWakeup)) {
      // Looks for waiters before leaving: one that queues in between is never woken.
      const uint32_t seen = state_.Load(kRelaxed, where);
      state_.FetchSub(kReader, kRelease, where);
      if ((seen & kWaiters) != 0) PassOn(where);
      return;
    }
    // Release pairs with the acquire of the next writer.
    const uint32_t left = state_.FetchSub(kReader, kRelease, where) - kReader;
    if (left == kWaiters) [[unlikely]]
      PassOn(where);
  }
  FAULTLINE_ALWAYS_INLINE void WriteUnlock(SourceLoc where) {
    owner_.store(0, kRelaxed);
    // Release pairs with the acquire of the next holder.
    const uint32_t before = state_.FetchSub(kWriter, kRelease, where);
    if ((before & kWaiters) != 0) [[unlikely]]
      PassOn(where);
  }
  void Downgrade(SourceLoc where);

  FAULTLINE_ALWAYS_INLINE void SetOwner(uint32_t id) { owner_.store(id, kRelaxed); }
  [[nodiscard]] uint32_t owner() const { return owner_.load(kRelaxed); }
  [[nodiscard]] bool IsHeld() const { return (state_.Peek() & ~kWaiters) != 0; }
  [[nodiscard]] bool IsWriteHeld() const { return (state_.Peek() & kWriter) != 0; }
  [[nodiscard]] bool HasWaiters() const { return (state_.Peek() & kWaiters) != 0; }
  [[nodiscard]] uint32_t readers() const { return state_.Peek() / kReader; }
  void set_policy(const RwSemPolicy& policy) { policy_ = policy; }
  [[nodiscard]] const RwSemPolicy& policy() const { return policy_; }

 private:
  static constexpr uint32_t kWriter = 1u << 0;
  static constexpr uint32_t kWaiters = 1u << 1;  // written under queue_.lock only
  static constexpr uint32_t kReader = 1u << 8;
  static constexpr int kMaxLostRaces = 8;

  [[nodiscard]] FAULTLINE_ALWAYS_INLINE bool ReadAdmitted(uint32_t before) const {
    if ((before & (kWriter | kWaiters)) == 0) [[likely]] {
      return true;
    }
    return (before & kWriter) == 0 && !policy_.fair;
  }

  [[nodiscard]] bool ReadOrWithdraw(Task& self, SourceLoc where);
  [[nodiscard]] bool SpinForRead(SourceLoc where);
  [[nodiscard]] bool SpinForWrite(SourceLoc where);
  [[nodiscard]] bool Wait(Task& self, LockWaiter& waiter, Killable killable, SourceLoc where);
  [[nodiscard]] bool Withdraw(Task& self, LockWaiter& waiter, SourceLoc where);
  FAULTLINE_NOINLINE void PassOn(SourceLoc where);
  void EnqueueLocked(LockWaiter& waiter, uint32_t also_add, SourceLoc where);
  void PassOnLocked(SourceLoc where);
  void GrantReadersLocked(SourceLoc where);
  [[nodiscard]] bool TakeAsFirstWriterLocked(LockWaiter& waiter, SourceLoc where);
  void DequeueLocked(LockWaiter& waiter) { queue_.waiters.erase(waiter); }

  Atomic<uint32_t> state_{0};
  // Who holds it for writing; a hint for reports, so no scheduling point in the modelled build.
  std::atomic<uint32_t> owner_{0};
  WaitList queue_;
  RwSemPolicy policy_;
};

/// The semaphore as the core uses it.
template <LockRank kRank>
class ABSL_LOCKABLE RwSem {
  static_assert(Info(kRank).kind == LockKind::kSleeping, "this rank is for spinlocks");

 public:
  explicit RwSem(const RwSemPolicy& policy = {}) : raw_(policy) {}
  RwSem(const RwSem&) = delete;
  RwSem& operator=(const RwSem&) = delete;

  /// Takes a read hold; may sleep. Not recursive. (Linux: down_read)
  FAULTLINE_ALWAYS_INLINE void LockShared(LockSubclass subclass = LockSubclass::kNormal,
                                          SourceLoc where = SourceLoc::Current())
      ABSL_SHARED_LOCK_FUNCTION() {
    (void)Read(subclass, Killable::kNo, where);
  }
  /// As LockShared, but a killed task gives up, and one in a NoWaitScope does so at once. True:
  /// held. False: killed (EINTR), or it would have to wait; nothing is held. A bool, not a Result,
  /// for the thread-safety analysis to follow.
  [[nodiscard]] bool LockSharedKillable(LockSubclass subclass = LockSubclass::kNormal,
                                        SourceLoc where = SourceLoc::Current())
      ABSL_SHARED_TRYLOCK_FUNCTION(true) {
    return Read(subclass, Killable::kYes, where);
  }
  /// Takes a read hold if that needs no waiting. (Linux: down_read_trylock)
  [[nodiscard]] bool TryLockShared(SourceLoc where = SourceLoc::Current())
      ABSL_SHARED_TRYLOCK_FUNCTION(true) {
    const AtomicStep step(LockDetail::kSleeping, OpKind::kTryLock, this, where);
    if (!raw_.TryRead(where)) return false;
    TellAcquired(LockMode::kShared, LockSubclass::kNormal, Acquisition::kTry, where);
    return true;
  }
  FAULTLINE_ALWAYS_INLINE void UnlockShared(SourceLoc where = SourceLoc::Current())
      ABSL_UNLOCK_FUNCTION() {
    TellReleased(LockMode::kShared, where);
    MM_DCHECK_NE(raw_.readers(), 0u);  // after lockdep, whose report says more
    const AtomicStep step(LockDetail::kSleeping, OpKind::kUnlock, this, where);
    raw_.ReadUnlock(where);
  }

  /// Takes the write hold; may sleep. (Linux: down_write)
  FAULTLINE_ALWAYS_INLINE void Lock(LockSubclass subclass = LockSubclass::kNormal,
                                    SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    (void)Write(subclass, Killable::kNo, where);
  }
  /// As Lock, but a killed task gives up, and one in a NoWaitScope does so at once. True: held.
  /// False: killed (EINTR), or it would have to wait; nothing is held. A bool, not a Result, for
  /// the thread-safety analysis to follow.
  [[nodiscard]] bool LockKillable(LockSubclass subclass = LockSubclass::kNormal,
                                  SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    return Write(subclass, Killable::kYes, where);
  }
  /// Takes the write hold if nobody holds or waits. (Linux: down_write_trylock)
  [[nodiscard]] bool TryLock(SourceLoc where = SourceLoc::Current())
      ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    const AtomicStep step(LockDetail::kSleeping, OpKind::kTryLock, this, where);
    if (!raw_.TryWriteFast(where)) return false;
    raw_.SetOwner(CurrentTask().id());
    TellAcquired(LockMode::kExclusive, LockSubclass::kNormal, Acquisition::kTry, where);
    return true;
  }
  FAULTLINE_ALWAYS_INLINE void Unlock(SourceLoc where = SourceLoc::Current())
      ABSL_UNLOCK_FUNCTION() {
    TellReleased(LockMode::kExclusive, where);
    MM_DCHECK(raw_.IsWriteHeld());
    const AtomicStep step(LockDetail::kSleeping, OpKind::kUnlock, this, where);
    raw_.WriteUnlock(where);
  }

  /// Takes the write hold as one of any number of its rank, all of them under a write hold of the
  /// rank just outside, which is what keeps two such holders apart. lockdep checks the order and
  /// keeps no record of the hold. (Linux: down_write_nest_lock)
  void LockUnderOuter(SourceLoc where = SourceLoc::Current()) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    static_assert(Info(kRank).same_rank == SameRank::kUnderOuter);
    Task& self = CurrentTask();
    if ((self.hooks() & kHooks) != 0) [[unlikely]] {
      HookWillAcquire(self, Id(), LockMode::kExclusive, LockSubclass::kNormal, where);
    }
    (void)AcquireWrite(self, Killable::kNo, where);
  }
  void UnlockUnderOuter(SourceLoc where = SourceLoc::Current()) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    MM_DCHECK(raw_.IsWriteHeld());
    const AtomicStep step(LockDetail::kSleeping, OpKind::kUnlock, this, where);
    raw_.WriteUnlock(where);
  }

  /// Turns the caller's write hold into a read hold, letting queued readers in. (Linux:
  /// downgrade_write) The analysis sees the hold as unchanged; release it with UnlockShared from a
  /// function that says so.
  void Downgrade(SourceLoc where = SourceLoc::Current()) {
    if ((CurrentTask().hooks() & kHooks) != 0) [[unlikely]] {
      HookDowngraded(CurrentTask(), Id(), where);
    }
    MM_DCHECK(raw_.IsWriteHeld());
    const AtomicStep step(LockDetail::kSleeping, OpKind::kDowngrade, this, where);
    raw_.Downgrade(where);
  }

  /// Whether anyone holds it, holds it for writing, or waits for it; hints unless the caller holds
  /// it.
  [[nodiscard]] bool IsHeld() const { return raw_.IsHeld(); }
  [[nodiscard]] bool IsWriteHeld() const { return raw_.IsWriteHeld(); }
  [[nodiscard]] bool HasWaiters() const { return raw_.HasWaiters(); }
  /// The task that holds it for writing or, while hooks see every acquisition (lockdep, hold
  /// times), the reader that came last and may have left; 0 if not known. A hint (Linux: rwsem
  /// owner).
  [[nodiscard]] uint32_t owner() const { return raw_.owner(); }

  /// Changes the policy. Nobody holds it or waits for it.
  void SetPolicy(const RwSemPolicy& policy) { raw_.set_policy(policy); }
  [[nodiscard]] const RwSemPolicy& policy() const { return raw_.policy(); }

  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() { MM_DCHECK(raw_.IsWriteHeld()); }
  void AssertHeldShared() const ABSL_ASSERT_SHARED_LOCK() { MM_DCHECK(raw_.IsHeld()); }

 private:
  static constexpr uint32_t kHooks = kHookLockdep | kHookHolds;

  [[nodiscard]] LockId Id() const { return {this, kRank}; }

  FAULTLINE_ALWAYS_INLINE bool Read(LockSubclass subclass, Killable killable, SourceLoc where) {
    Task& self = CurrentTask();
    if ((self.hooks() & kHooks) != 0) [[unlikely]] {
      HookWillAcquire(self, Id(), LockMode::kShared, subclass, where);
    }
    {
      const AtomicStep step(LockDetail::kSleeping, OpKind::kLock, this, where);
      if (!raw_.TryReadFast(where)) [[unlikely]] {
        if (!raw_.ReadSlow(self, Id(), killable, where)) return false;
      }
    }
    TellAcquired(LockMode::kShared, subclass, Acquisition::kBlocking, where);
    return true;
  }

  FAULTLINE_ALWAYS_INLINE bool Write(LockSubclass subclass, Killable killable, SourceLoc where) {
    Task& self = CurrentTask();
    if ((self.hooks() & kHooks) != 0) [[unlikely]] {
      HookWillAcquire(self, Id(), LockMode::kExclusive, subclass, where);
    }
    if (!AcquireWrite(self, killable, where)) return false;
    TellAcquired(LockMode::kExclusive, subclass, Acquisition::kBlocking, where);
    return true;
  }
  FAULTLINE_ALWAYS_INLINE bool AcquireWrite(Task& self, Killable killable, SourceLoc where) {
    const AtomicStep step(LockDetail::kSleeping, OpKind::kLock, this, where);
    if (!raw_.TryWriteFast(where)) [[unlikely]] {
      if (!raw_.WriteSlow(self, Id(), killable, where)) return false;
    }
    raw_.SetOwner(self.id());
    return true;
  }

  FAULTLINE_ALWAYS_INLINE void TellAcquired(LockMode mode, LockSubclass subclass,
                                            Acquisition acquisition, SourceLoc where) {
    Task& self = CurrentTask();
    if ((self.hooks() & kHooks) != 0) [[unlikely]] {
      HookAcquired(self, Id(), mode, subclass, acquisition, where);
      // Of many readers the last one stands for all; writing it down shares a line, hence only
      // here.
      if (mode == LockMode::kShared) raw_.SetOwner(self.id());
    }
  }
  FAULTLINE_ALWAYS_INLINE void TellReleased(LockMode mode, SourceLoc where) {
    Task& self = CurrentTask();
    if ((self.hooks() & kHooks) != 0) [[unlikely]]
      HookReleased(self, Id(), mode, where);
  }

  RawRwSem raw_;
};

}  // namespace faultline
