// SPDX-License-Identifier: Apache-2.0
//
// Threads that may sleep. Unary calls that can wait for a lock run here, so that they never block
// the transport; so does the teardown of mms and machines.
//
// The pool grows while all its threads are busy, up to a limit; a thread that has had nothing to do
// for some time ends, but for the last one. Jobs start in the order in which they came. A call's
// job is refused when the queue is full, and when it would need another thread and the host gives
// none; the server's own jobs never are: without a thread of their own they wait for one of the
// others. A thread counts as free from its start on until it takes a job, whether it has come to
// run or not, and again from a job's end on: so what is full does not depend on who was faster.
// Guarantee: with fewer jobs than threads, no job that TryPost took waits for another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/functional/any_invocable.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

namespace faultline::server {

class WorkerPool {
 public:
  using Job = absl::AnyInvocable<void()>;

  struct Options {
    size_t max_threads = 0;                       ///< at least 1
    size_t max_queue = 0;                         ///< calls that wait for a thread
    const char* name = "worker";                  ///< of its tasks, in reports; lives for ever
    absl::Duration keep_idle = absl::Seconds(2);  ///< how long a thread waits for the next job
    /// Makes a thread that runs the function; may throw std::system_error, as std::thread does.
    std::function<std::thread(std::function<void()>)> make_thread = [](std::function<void()> work) {
      return std::thread(std::move(work));
    };
  };
  /// As if each free thread had taken its job.
  struct Usage {
    size_t threads = 0;
    size_t busy = 0;
    size_t queued = 0;
  };

  /// With its first thread, so that what is posted is carried out even if the host gives no other.
  /// Throws std::system_error if it does not give this one.
  explicit WorkerPool(Options options);
  /// Runs what is queued, then ends the threads.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// False if max_queue jobs wait already, or the host refuses the thread that it would need; then
  /// the job is not taken.
  [[nodiscard]] bool TryPost(Job&& job) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Whatever the length of the queue: for what has to be done.
  void Post(Job job) ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] Usage usage() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  using Threads = std::list<std::thread>;

  enum class Room : uint8_t {
    kFreeThread,
    kQueue,     ///< all threads that may be are busy
    kNoThread,  ///< there could be another one, but the host refuses it
  };

  /// Where one more job would go; starts a thread for it where one is wanted.
  [[nodiscard]] Room MakeRoomLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PushLocked(Job&& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Throws std::system_error if the host refuses; then nothing has changed.
  void StartThreadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work(Threads::iterator self) ABSL_LOCKS_EXCLUDED(mutex_);
  /// Whether there is a job to take; waits for one for a while.
  [[nodiscard]] bool AwaitJobLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunOneLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Tells the threads to end when nothing is queued, and hands them over.
  [[nodiscard]] Threads End() ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  absl::CondVar work_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  Threads threads_ ABSL_GUARDED_BY(mutex_);
  Threads ended_ ABSL_GUARDED_BY(mutex_);    ///< to be joined, which takes no time
  size_t free_ ABSL_GUARDED_BY(mutex_) = 0;  ///< threads that are not at a job
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace faultline::server
