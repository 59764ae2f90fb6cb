// SPDX-License-Identifier: Apache-2.0
//
// AttachStreams: all calls of Attach that are under way, for the drain, and the threads of the host
// that they run on: one for each, as long as it lives.
//
// Locks: mutex_ is outside those of the streams.
#pragma once

#include <set>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include "server/limits.h"
#include "server/worker_pool.h"

namespace faultline::server {

class AttachStream;

class AttachStreams {
 public:
  explicit AttachStreams(const Limits& limits)
      : executors_({.max_threads = limits.max_threads,
                    .max_queue = limits.max_threads,  // behind those that are just ending
                    .name = "attached"}) {}
  AttachStreams(const AttachStreams&) = delete;
  AttachStreams& operator=(const AttachStreams&) = delete;

  /// Ends all, and those that come, with DRAINING.
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);

  void Add(AttachStream& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(AttachStream& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  /// There is a thread for each of Limits.max_threads streams, as far as the host gives them.
  [[nodiscard]] WorkerPool& executors() { return executors_; }

 private:
  WorkerPool executors_;
  absl::Mutex mutex_;
  std::set<AttachStream*> streams_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace faultline::server
