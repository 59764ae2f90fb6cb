// SPDX-License-Identifier: Apache-2.0
//
// TaskLoan: for a short while a thread acts as a task whose own thread is parked (nearest in Linux:
// kthread_use_mm, where a worker acts in somebody's mm). A server does a little work so for a
// simulated thread, on the thread that brought the request: waking the task's own thread would cost
// a hundred times what the work does.
//
// Protocol: the lender's thread parks in a loop, and after each Park first waits, by a lock of the
// lender's, until no loan is on; the borrower holds its place by the same lock. The borrower does
// not park (NoWaitScope): tokens are for the task's own thread. Native build only, since a modelled
// task is its fiber.
// Guarantee: what is counted, recorded and locked meanwhile is the lent task's.
#pragma once

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/sync/native/current_task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class [[nodiscard]] TaskLoan {
 public:
  /// Whether `task` can be lent now: its thread is parked. One that is woken afterwards waits for
  /// the lender's lock, which the caller holds.
  [[nodiscard]] static bool IsPossible(const Task& task) { return task.IsParked(); }

  /// From now on the calling thread is `task`.
  explicit TaskLoan(Task& task) : own_(CurrentTask()) { detail::tls_task = &task; }
  ~TaskLoan() { detail::tls_task = &own_; }
  TaskLoan(const TaskLoan&) = delete;
  TaskLoan& operator=(const TaskLoan&) = delete;

 private:
  Task& own_;  // attaching the thread also registered it with RCU, which goes by threads
};

}  // namespace faultline
