// SPDX-License-Identifier: Apache-2.0
//
// All native tasks of the process. It exists because threads come and go by themselves (a server's
// RPC threads, liburcu's callback thread) while wakers, lock words and statistics may refer to a
// task a little longer: Task memory is therefore kept and reused, never freed.
// The one process-wide object of the native sync layer; it belongs to threads, not to a Machine.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/sync/lock_stats.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class TaskRegistry {
 public:
  /// Most threads that may be attached at once.
  static constexpr size_t kMaxTasks = 8192;

  static TaskRegistry& Instance();

  /// Gives the calling thread a task and registers it with RCU.
  Task& Attach();
  /// Takes it back. The thread holds no lock and is in no RCU section.
  void Detach(Task& task);

  void SetName(Task& task, std::string_view name);

  /// Sets the hook mask of every task, present and future.
  void SetHooks(uint32_t hooks);
  [[nodiscard]] uint32_t hooks();

  /// The task with that id, or null if the id was never given out. Lock-free: lock words and wait
  /// records name tasks by id.
  [[nodiscard]] Task* Find(uint32_t id) const;

  /// Visits every task's statistics; they may be written meanwhile (relaxed counters).
  void ForEachStats(const std::function<void(LockStatsShard&)>& visit);

 private:
  TaskRegistry() = default;
  [[nodiscard]] uint32_t HooksAndEra() const { return hooks_ | era_ << kHookEraShift; }

  std::array<std::atomic<Task*>, kMaxTasks> by_id_{};  // index id - 1; entries never change again
  std::mutex mutex_;                                   // guards what follows
  std::deque<Task> tasks_;
  std::deque<LockStatsShard> stats_;
  std::vector<Task*> free_;
  uint32_t hooks_ = kDebugChecks ? uint32_t{kHookLockdep} : 0;
  uint32_t era_ = 0;  // see kHookEraShift
};

}  // namespace faultline
