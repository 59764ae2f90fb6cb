// SPDX-License-Identifier: Apache-2.0
//
// LabRuns and LabStream: calls of the lab that work for a while and stream what comes of it. The
// work of each runs on a thread of its own, says what it has to say through the stream, and returns
// when it is done or is told to stop: by cancellation, by a client that is gone, by a drain.
//
// Results are never dropped: a client that does not read them holds the work up. Progress is, when
// there is something before it that has not been read.
//
// Locks: the mutex of LabRuns is outside that of a stream's stop, that outside whatever the work's
// hook takes. Guarantee: when a client has its status, nothing of the work is left.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include <absl/base/thread_annotations.h>
#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>
#include <grpcpp/support/server_callback.h>

#include "server/limits.h"
#include "server/refusal.h"
#include "server/unary.h"
#include "server/worker_pool.h"

namespace faultline::server {

/// Told once that the work is to stop, by whomever.
class LabStop {
 public:
  enum class Why { kNot, kCancelled, kDraining };

  void Stop(Why why) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] Why why() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool stopped() const { return why() != Why::kNot; }

  /// While it lives, `hook` is called when the stop comes: at once if it has come. It does not
  /// wait, and the work that it stops outlives this.
  class [[nodiscard]] Hook {
   public:
    Hook(LabStop& stop, std::function<void()> hook);
    ~Hook();
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;

   private:
    LabStop& stop_;
  };

 private:
  mutable absl::Mutex mutex_;
  Why why_ ABSL_GUARDED_BY(mutex_) = Why::kNot;
  std::function<void()> hook_ ABSL_GUARDED_BY(mutex_);
};

/// What is under way in the lab, and the threads of the host for it.
class LabRuns {
 public:
  explicit LabRuns(const Limits& limits)
      : limit_(limits.max_lab_runs),
        // Queues are for those that come while others are just ending.
        runners_(
            {.max_threads = limits.max_lab_runs, .max_queue = limits.max_lab_runs, .name = "lab"}),
        executors_({.max_threads = limits.max_threads,
                    .max_queue = limits.max_threads,
                    .name = "workload"}) {}
  LabRuns(const LabRuns&) = delete;
  LabRuns& operator=(const LabRuns&) = delete;

  /// OVERLOADED at Limits.max_lab_runs, DRAINING.
  [[nodiscard]] MaybeRefusal TryAdd(LabStop& run) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(LabStop& run) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Stops all, and refuses those that come.
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);

  /// There is a thread for each run, as far as the host gives them.
  [[nodiscard]] WorkerPool& runners() { return runners_; }
  /// There is a thread for each of Limits.max_threads, with the same reservation.
  [[nodiscard]] WorkerPool& executors() { return executors_; }

 private:
  const size_t limit_;
  WorkerPool runners_;
  WorkerPool executors_;
  absl::Mutex mutex_;
  std::set<LabStop*> runs_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

/// One call. Deletes itself when gRPC says that all is done.
template <class Response>
class LabStream final : public grpc::ServerWriteReactor<Response> {
 public:
  /// Does the work; a refusal ends the call with it.
  using Work = absl::AnyInvocable<MaybeRefusal(LabStream&)>;

  /// Both outlive it.
  LabStream(Calls& calls, LabRuns& runs) : calls_(calls), runs_(runs) {}

  /// Ends the call with `refusal`, or has the work done. Called once.
  void Start(MaybeRefusal refusal, Work work) {
    if (!refusal) refusal = runs_.TryAdd(stop_);
    if (refusal) {
      work = nullptr;  // with all that it holds, before the client learns of it
      this->Finish(calls_.StatusOf(refusal));
      return;
    }
    work_ = std::move(work);
    if (runs_.runners().TryPost([this] { Run(); })) return;
    work_ = nullptr;
    runs_.Remove(stop_);
    this->Finish(calls_.StatusOf(
        NoThreadForIt("Limits.max_lab_runs", calls_.registry().limits().max_lab_runs)));
  }

  // -- For the work, on its own thread ------------------------------------------------------------

  [[nodiscard]] LabStop& stop() { return stop_; }
  /// Waits while the client has several messages to read, unless it is gone.
  void Send(Response response) ABSL_LOCKS_EXCLUDED(mutex_) {
    Next next;
    {
      const absl::MutexLock lock(&mutex_);
      while (to_write_.size() >= kMostWaiting && !gone_) written_.Wait(&mutex_);
      next = PushLocked(std::move(response));
    }
    Do(next);
  }
  /// Drops it if there is something before it.
  void SendProgress(Response response) ABSL_LOCKS_EXCLUDED(mutex_) {
    Next next;
    {
      const absl::MutexLock lock(&mutex_);
      if (to_write_.empty()) next = PushLocked(std::move(response));
    }
    Do(next);
  }

  // -- For gRPC -----------------------------------------------------------------------------------

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ok) Gone();
    Next next;
    {
      const absl::MutexLock lock(&mutex_);
      to_write_.pop_front();
      if (gone_) to_write_.clear();
      written_.Signal();
      next = {.write = to_write_.empty() ? nullptr : &to_write_.front(),
              .finish = to_write_.empty() && ended_};
    }
    Do(next);
  }
  void OnCancel() override { Gone(); }
  void OnDone() override { delete this; }

 private:
  static constexpr size_t kMostWaiting = 4;

  /// What is to be done with gRPC once mutex_ is released.
  struct Next {
    const Response* write = nullptr;
    bool finish = false;
  };

  void Run() {
    MaybeRefusal refusal = work_(*this);
    work_ = nullptr;
    runs_.Remove(stop_);
    switch (stop_.why()) {
      case LabStop::Why::kNot:
        status_ = calls_.StatusOf(refusal);
        break;
      case LabStop::Why::kCancelled:
        status_ = grpc::Status::CANCELLED;
        break;
      case LabStop::Why::kDraining:
        status_ = calls_.StatusOf(Draining());
        break;
    }
    Next next;
    {
      const absl::MutexLock lock(&mutex_);
      ended_ = true;
      next.finish = to_write_.empty();
    }
    Do(next);
  }

  /// Nobody reads any more.
  void Gone() ABSL_LOCKS_EXCLUDED(mutex_) {
    stop_.Stop(LabStop::Why::kCancelled);
    const absl::MutexLock lock(&mutex_);
    gone_ = true;
    written_.Signal();
  }
  [[nodiscard]] Next PushLocked(Response&& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (gone_) return {};
    to_write_.push_back(std::move(response));
    return {.write = to_write_.size() == 1 ? &to_write_.front() : nullptr};
  }
  /// After a finish this object may be gone.
  void Do(const Next& next) {
    if (next.write != nullptr) this->StartWrite(next.write);
    if (next.finish) this->Finish(status_);
  }

  Calls& calls_;
  LabRuns& runs_;
  LabStop stop_;
  Work work_;
  grpc::Status status_;  ///< written before ended_
  absl::Mutex mutex_;
  absl::CondVar written_;
  /// The first one is on its way.
  std::deque<Response> to_write_ ABSL_GUARDED_BY(mutex_);
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace faultline::server
