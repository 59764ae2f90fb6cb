// SPDX-License-Identifier: Apache-2.0
//
// Implementation of lock_hooks.h: keeps each task's chain of held locks and feeds lockdep and the
// statistics from it. All of this is the slow path of an instrumented run.
#include "core/sync/lock_hooks.h"

#include "core/base/check.h"
#include "core/sync/lock_stats.h"
#include "core/sync/lockdep.h"
#include "core/sync/sync_clock.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Counts the hold in the mode that now ends.
void CountHoldByCaller(Task& task, const HeldLock& held, uint64_t now) {
  task.stats->callers().CountHold({held.lock.rank, held.activity, held.mode},
                                  now - held.mode_since);
}

}  // namespace

void HookWillAcquire(Task& task, LockId lock, LockMode mode, LockSubclass subclass,
                     SourceLoc where) {
  task.DropStaleHolds();
  if ((task.hooks() & kHookLockdep) != 0) lockdep::CheckAcquire(task, lock, mode, subclass, where);
}

void HookAcquired(Task& task, LockId lock, LockMode mode, LockSubclass subclass,
                  Acquisition acquisition, SourceLoc where) {
  task.DropStaleHolds();
  const uint32_t hooks = task.hooks();
  if ((hooks & kHookLockdep) != 0 && acquisition == Acquisition::kBlocking) {
    lockdep::NoteAcquired(task, lock, where);
  }
  HeldLock hold{
      .lock = lock, .mode = mode, .subclass = subclass, .acquisition = acquisition, .where = where};
  if ((hooks & kHookHolds) != 0) {
    hold.activity = task.activity();
    task.stats->CountAcquired(lock.rank, mode);
    task.stats->callers().CountAcquired({lock.rank, hold.activity, mode});
    hold.since = hold.mode_since = SyncClockNs();
  }
  const bool recorded = task.held.Push(hold);
  // With lockdep a chain that long is a bug; for hold times alone the hold goes uncounted.
  MM_CHECK(recorded || (hooks & kHookLockdep) == 0);
}

void HookReleased(Task& task, LockId lock, LockMode mode, SourceLoc where) {
  task.DropStaleHolds();
  const uint32_t hooks = task.hooks();
  HeldLock* held = task.held.Find(lock.address);
  if ((hooks & kHookLockdep) != 0) lockdep::CheckRelease(task, lock, mode, held, where);
  if (held == nullptr) return;  // taken before the hooks were switched on
  if ((hooks & kHookHolds) != 0 && held->since != 0) {
    const uint64_t now = SyncClockNs();
    task.stats->CountHold(lock.rank, now - held->since);
    CountHoldByCaller(task, *held, now);
  }
  task.held.Remove(held);
}

void HookDowngraded(Task& task, LockId lock, SourceLoc where) {
  task.DropStaleHolds();
  HeldLock* held = task.held.Find(lock.address);
  if ((task.hooks() & kHookLockdep) != 0) lockdep::CheckDowngrade(task, lock, held, where);
  if (held == nullptr) return;
  if ((task.hooks() & kHookHolds) != 0 && held->since != 0) {
    const uint64_t now = SyncClockNs();
    CountHoldByCaller(task, *held, now);
    held->mode_since = now;
  }
  held->mode = LockMode::kShared;
}

LockWait::LockWait(Task& task, LockId lock, LockMode mode, uint32_t holder)
    : task_(task), lock_(lock), mode_(mode), holder_(holder) {
  task.waiting_for = lock;
  task.waiting_holder = holder;
  counted_ = (task.hooks() & kHookWaits) != 0;
  if (counted_ || task.fault_events != nullptr) {
    holder_activity_ = detail::ActivityOfTask(holder);
    begin_ = SyncClockNs();
  }
}

LockWait::~LockWait() {
  task_.waiting_for = {};
  task_.waiting_holder = 0;
  if (begin_ == 0) return;
  const uint64_t waited = SyncClockNs() - begin_;
  task_.NoteWait({lock_.rank, holder_activity_, holder_, waited});
  if (counted_) Count(waited);
}

void LockWait::Count(uint64_t waited) const {
  const uint16_t activity = task_.activity();
  task_.stats->CountWait(lock_.rank, waited, holder_, killed_);
  task_.stats->callers().CountWait({lock_.rank, activity, mode_}, waited, holder_, killed_);
  detail::TellWaitSink(
      {.kind = WaitKind::kLock,
       .mode = mode_ == LockMode::kShared ? WaitMode::kShared : WaitMode::kExclusive,
       .rank = static_cast<uint8_t>(lock_.rank),
       .killed = killed_,
       .waiter_activity = activity,
       .holder_activity = holder_activity_,
       .waiter = TaskId(task_.id()),
       .holder = TaskId(holder_),
       .waited = Ticks(waited)});
}

}  // namespace faultline
