// SPDX-License-Identifier: Apache-2.0
//
// Wait queues (Linux: wait_queue_head_t, wait_event(), wait_event_killable()): tasks that wait
// until some condition over shared state holds.
//
// Protocol: the waiter queues itself, then tests the condition, then parks; the waker makes the
// condition true, then wakes. Both go through the queue's lock, so either the waker finds the
// waiter or the waiter finds the condition true: no wake-up is lost. Woken tasks test again. The
// condition is evaluated by the waiting task, with no lock of the queue held.
#pragma once

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/base/result.h"
#include "core/sync/guards.h"
#include "core/sync/lockdep.h"
#include "core/sync/spin_lock.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  /// Returns once `condition()` holds. May sleep.
  template <class Predicate>
  void Wait(const Predicate& condition, SourceLoc where = SourceLoc::Current()) {
    (void)WaitUnless(condition, [] { return false; }, where);
  }

  /// As Wait, but a killed task gives up with EINTR, unless the condition holds; and one in a
  /// NoWaitScope with EAGAIN, without waiting.
  template <class Predicate>
  [[nodiscard]] Result<void> WaitKillable(const Predicate& condition,
                                          SourceLoc where = SourceLoc::Current()) {
    const Task& self = CurrentTask();
    if (self.no_wait != 0) [[unlikely]] {
      if (condition()) return {};
      return Errno::kEagain;
    }
    if (WaitUnless(condition, [&] { return self.killed(where); }, where)) return {};
    return Errno::kEintr;
  }

  /// Wakes the task that has waited longest; it tests its condition.
  void WakeOne(SourceLoc where = SourceLoc::Current()) ABSL_LOCKS_EXCLUDED(lock_);
  /// Wakes every waiting task.
  void WakeAll(SourceLoc where = SourceLoc::Current()) ABSL_LOCKS_EXCLUDED(lock_);

  /// Makes a condition true and wakes, in one hold of the queue's lock. A waiter that saw the
  /// change and then calls AwaitWakers may end the queue: the waker does not touch it any more.
  template <class Change>
  void ChangeAndWakeOne(const Change& change, SourceLoc where) ABSL_LOCKS_EXCLUDED(lock_) {
    const LockGuard guard(lock_, LockSubclass::kNormal, where);
    change();
    WakeOneLocked(where);
  }
  template <class Change>
  void ChangeAndWakeAll(const Change& change, SourceLoc where) ABSL_LOCKS_EXCLUDED(lock_) {
    const LockGuard guard(lock_, LockSubclass::kNormal, where);
    change();
    WakeAllLocked(where);
  }
  /// Returns once those are done whose change the caller saw.
  void AwaitWakers(SourceLoc where) ABSL_LOCKS_EXCLUDED(lock_) {
    const LockGuard guard(lock_, LockSubclass::kNormal, where);
  }

 private:
  struct Waiter : ListNode<> {
    explicit Waiter(Task& waiting_task) : task(waiting_task) {}
    Task& task;
  };

  void WakeOneLocked(SourceLoc where) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void WakeAllLocked(SourceLoc where) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  /// Queues the waiter; one that is still queued keeps its place.
  void Enqueue(Waiter& waiter, SourceLoc where) ABSL_LOCKS_EXCLUDED(lock_);
  /// Takes the waiter off; false if a waker did so before.
  [[nodiscard]] bool Dequeue(Waiter& waiter, SourceLoc where) ABSL_LOCKS_EXCLUDED(lock_);

  /// True once `condition` holds, false once `give_up` does and the condition does not.
  template <class Predicate, class GiveUp>
  bool WaitUnless(const Predicate& condition, const GiveUp& give_up, SourceLoc where) {
    MaySleep("wait queue", where);
    if (condition()) return true;
    Waiter waiter(CurrentTask());
    bool holds = false;
    while (true) {
      Enqueue(waiter, where);
      holds = condition();
      if (holds || give_up()) break;
      Task::Park(where);
    }
    // A wake-up that came after the last test was not needed here, and may be needed elsewhere: by
    // one that waits for the same thing and did not find it. Scenario completion finds this.
    const bool was_woken = !Dequeue(waiter, where);
    if (was_woken) WakeOne(where);
    return holds;
  }

  SpinLock<LockRank::kWaitQueue> lock_;
  IntrusiveList<Waiter> waiters_ ABSL_GUARDED_BY(lock_);
};

}  // namespace faultline
