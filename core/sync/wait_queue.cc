// SPDX-License-Identifier: Apache-2.0
//
// Implementation of wait_queue.h. A waiter that was woken is unlinked by its waker (Linux:
// autoremove_wake_function), so the next WakeOne goes to someone else.
#include "core/sync/wait_queue.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void WaitQueue::Enqueue(Waiter& waiter, SourceLoc where) {
  const LockGuard guard(lock_, LockSubclass::kNormal, where);
  if (!waiter.is_linked()) waiters_.push_back(waiter);
}

bool WaitQueue::Dequeue(Waiter& waiter, SourceLoc where) {
  const LockGuard guard(lock_, LockSubclass::kNormal, where);
  if (!waiter.is_linked()) return false;
  waiters_.erase(waiter);
  return true;
}

void WaitQueue::WakeOne(SourceLoc where) {
  const LockGuard guard(lock_, LockSubclass::kNormal, where);
  WakeOneLocked(where);
}

void WaitQueue::WakeAll(SourceLoc where) {
  const LockGuard guard(lock_, LockSubclass::kNormal, where);
  WakeAllLocked(where);
}

void WaitQueue::WakeOneLocked(SourceLoc where) {
  if (Waiter* waiter = waiters_.pop_front()) waiter->task.Unpark(where);
}

void WaitQueue::WakeAllLocked(SourceLoc where) {
  while (Waiter* waiter = waiters_.pop_front()) waiter->task.Unpark(where);
}

}  // namespace faultline
