// SPDX-License-Identifier: Apache-2.0
//
// AttachStream: one call of Attach, from the opening to the status (attach.proto). The transport
// reads batches into slots and writes results from them; an executor, one thread of the host for
// the stream's whole life, carries them out in order.
//
//   read -> to_run -> (executor) -> to_write -> written, and the slot is free for the next read
//
// A small batch that finds the executor parked is carried out by the transport's thread, which
// borrows the executor's task for it (core/sync/native/task_loan.h): waking a thread costs more
// than fifty faults. As soon as an operation would have to wait, the executor goes on with it.
//
// Slots are Limits.max_batches_in_flight: when all are taken nothing is read, and what the client
// sends waits in the transport. A slot's messages are used again, so a stream in its stride
// allocates nothing.
//
// Locks: mutex_ guards the slots' way and comes before those of mms and threads. The executor waits
// for work as core's tasks do, parked, so that a kill wakes it, too. The transport never waits for
// the executor. Ends: the executor leaves the mm before Finish is called, so a client that has
// its status knows that the thread is gone. Deletes itself when gRPC says that all is done.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "faultline/v1/attach.pb.h"
#include "server/attach_streams.h"
#include "server/batch_run.h"
#include "server/simulated_thread.h"
#include "server/unary.h"

namespace faultline::server {

class AttachStream final : public grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse> {
 public:
  /// `calls` and `streams` outlive it.
  AttachStream(Calls& calls, AttachStreams& streams, grpc::CallbackServerContext& context);

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

  /// Ends it with DRAINING: the batch under way is finished and answered, others are not begun.
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Slot {
    v1::AttachRequest request;
    v1::AttachResponse response;
    std::optional<BatchRun> run;  ///< from its first operation to its last
  };
  /// What is to be done with gRPC once mutex_ is released.
  struct Next {
    Slot* read = nullptr;
    Slot* write = nullptr;
    bool finish = false;
  };

  [[nodiscard]] MaybeRefusal TakeRequestLocked(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] MaybeRefusal OpenLocked(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] MaybeRefusal TakeBatchLocked(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// No request is taken any more, and that is why; nothing: the client has closed its side.
  void EndInputLocked(MaybeRefusal why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeExecutorLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Execute() ABSL_LOCKS_EXCLUDED(mutex_);
  void Opened(v1::AttachOpened& opened) const;
  /// The next one to carry out; null: the thread ends.
  [[nodiscard]] Slot* AwaitBatch() ABSL_LOCKS_EXCLUDED(mutex_);
  /// The same without waiting; nothing: there is no work yet.
  [[nodiscard]] std::optional<Slot*> NextBatch() ABSL_LOCKS_EXCLUDED(mutex_);
  void Answered(Slot& slot) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Carries the slot's batch out, or on; whether it has ended.
  [[nodiscard]] static bool Run(SimulatedThread& thread, Slot& slot, Patience patience);

  /// A batch for the calling thread to carry out, as the executor's task.
  struct Borrowed {
    Slot* slot = nullptr;  ///< null: none
    Task* task = nullptr;
    SimulatedThread* thread = nullptr;
  };
  [[nodiscard]] Borrowed BorrowLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Carries it out, and what comes behind it.
  void RunBorrowed(Borrowed borrowed) ABSL_LOCKS_EXCLUDED(mutex_);
  /// The next batch was begun by the transport and would have had to wait.
  [[nodiscard]] bool HasBegunLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !to_run_.empty() && to_run_.front()->run.has_value();
  }
  [[nodiscard]] bool NotLent() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !lent_; }

  [[nodiscard]] Next NextLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(const Next& next) ABSL_LOCKS_EXCLUDED(mutex_);

  Calls& calls_;
  AttachStreams& streams_;
  const MaybeRefusal not_admitted_;
  grpc::CallbackServerContext& context_;
  std::unique_ptr<SimulatedThread> thread_;  ///< made by the opening, ended by the executor

  absl::Mutex mutex_;
  Task* executor_ ABSL_GUARDED_BY(mutex_) = nullptr;  ///< while it runs; parked without work
  std::vector<std::unique_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
  std::vector<Slot*> free_ ABSL_GUARDED_BY(mutex_);
  Slot* reading_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::deque<Slot*> to_run_ ABSL_GUARDED_BY(mutex_);
  std::deque<Slot*> to_write_ ABSL_GUARDED_BY(mutex_);
  bool lent_ ABSL_GUARDED_BY(mutex_) = false;  ///< the transport acts as the executor's task
  bool opened_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool executing_ ABSL_GUARDED_BY(mutex_) = false;  ///< from the opening to the executor's end
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  MaybeRefusal status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace faultline::server
