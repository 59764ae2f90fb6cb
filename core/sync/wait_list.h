// SPDX-License-Identifier: Apache-2.0
//
// The queue inside sleeping locks (Linux: the wait_list of struct rw_semaphore and struct mutex):
// waiters in order of arrival, each on its task's stack, under a small spinlock.
//
// Protocol: a waiter is linked and unlinked under `lock`. Whoever grants the lock to a waiter
// unlinks it, reads its task, then sets `granted`; from that store on the waiter's frame may be
// gone, and only the type-stable Task may be touched.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/sync/atomic.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/spin_lock.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Whether a wait ends when its task is killed.
enum class Killable : uint8_t { kNo, kYes };

struct LockWaiter : ListNode<> {
  LockWaiter(Task& waiting_task, LockMode wanted) : task(waiting_task), mode(wanted) {}

  /// Makes the waiter's next `granted` test succeed and wakes it. The waiter is unlinked already.
  void Grant(SourceLoc where) {
    Task& waiting = task;
    granted.Store(1, kRelease, where);  // pairs with IsGranted; the frame may vanish after this
    waiting.Unpark(where);
  }
  [[nodiscard]] bool IsGranted(SourceLoc where) const { return granted.Load(kAcquire, where) != 0; }

  Task& task;
  const LockMode mode;
  bool woken = false;  ///< was woken once to try for itself; the next release hands over
  Atomic<uint32_t> granted{0};
};

struct WaitList {
  RawSpinLock lock;
  IntrusiveList<LockWaiter> waiters;
};

}  // namespace faultline
