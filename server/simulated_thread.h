// SPDX-License-Identifier: Apache-2.0
//
// SimulatedThread: what a stream of Attach is while it lives: a thread of an mm, with its place
// among the limits, its progress group, its recorded faults, and the forks that it holds. It runs
// on one thread of the host, which carries out its batches one after the other (batch_run.h).
//
// A kill, by cancellation or by the mm's exit, ends its waits: those in the core, and those for
// progress or for time, which are the server's own. What is not killable is finished.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include "core/mm/mm.h"
#include "core/observe/fault_events.h"
#include "core/sync/task.h"
#include "faultline/v1/attach.pb.h"
#include "server/mm_entry.h"
#include "server/progress_group.h"
#include "server/refusal.h"
#include "server/registry.h"

namespace faultline::server {

class SimulatedThread final : public MmThread {
 public:
  /// As `open` wants it; with a refusal nothing stays.
  [[nodiscard]] static OrRefusal<std::unique_ptr<SimulatedThread>> Create(
      Registry& registry, const v1::AttachOpen& open);
  /// Left has been called if Entered was.
  ~SimulatedThread() override;
  SimulatedThread(const SimulatedThread&) = delete;
  SimulatedThread& operator=(const SimulatedThread&) = delete;

  /// From now on the calling task is it. Before its first batch.
  void Enter() ABSL_LOCKS_EXCLUDED(mutex_);
  /// It is no more: the mm is left, and exits if it was the last. By the same task.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);

  void Kill() override ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool killed() const { return killed_.load(std::memory_order_acquire); }
  [[nodiscard]] uint32_t task() const override { return task_id_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::shared_ptr<FaultEventRing> events() const override { return events_; }

  // -- For its own task -------------------------------------------------------------------------

  [[nodiscard]] Mm& mm() { return use_.mm(); }
  /// Its mm exits: the kill was for that.
  [[nodiscard]] bool exiting() const { return use_.entry().exiting(); }
  [[nodiscard]] MmEntry& entry() { return use_.entry(); }
  [[nodiscard]] MachineEntry& machine() { return use_.entry().machine(); }
  /// Null without a group.
  [[nodiscard]] ProgressMember* progress() { return progress_.get(); }
  /// Waits until then; false if it is killed.
  [[nodiscard]] bool SleepUntil(absl::Time until) ABSL_LOCKS_EXCLUDED(mutex_);
  /// When its clock began: the group's, or its own.
  [[nodiscard]] absl::Time ClockBegan();
  /// A copy that it made: it is held as long as this thread lives, if it is one that exits with its
  /// threads.
  void Hold(const MmUse& child);

  /// machines/M/mms/I/threads/T
  [[nodiscard]] std::string name() const;

 private:
  SimulatedThread(MmUse use, ThreadPlace place);
  /// Among the threads of the mm under that id, or, if it is empty, one that is free. From then on
  /// it can be killed.
  [[nodiscard]] MaybeRefusal List(const std::string& id);
  /// To the progress group, if it is to be in one.
  [[nodiscard]] MaybeRefusal Join(const v1::AttachOpen& open) ABSL_LOCKS_EXCLUDED(mutex_);

  MmUse use_;
  const ThreadPlace place_;
  std::string id_;
  bool listed_ = false;
  std::unique_ptr<ProgressMember> progress_;  ///< set under mutex_, while the thread is made
  std::shared_ptr<FaultEventRing> events_;
  std::optional<FaultRecording> recording_;
  std::vector<std::shared_ptr<MmEntry>> held_;
  std::optional<absl::Time> clock_began_;
  std::atomic<bool> killed_{false};
  std::atomic<uint32_t> task_id_{0};
  absl::Mutex mutex_;
  absl::CondVar kill_;
  Task* running_ ABSL_GUARDED_BY(mutex_) = nullptr;  ///< from Enter to Leave
};

}  // namespace faultline::server
