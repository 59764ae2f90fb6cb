// SPDX-License-Identifier: Apache-2.0
//
// The pool's threads; see worker_pool.h.
#include "server/worker_pool.h"

#include <iterator>

#include <absl/time/clock.h>

#include "core/sync/task.h"

namespace faultline::server {

WorkerPool::~WorkerPool() {
  // More than one round: the last jobs may post others, for which there may be a new thread.
  for (Threads threads = End(); !threads.empty(); threads = End()) {
    for (std::thread& thread : threads) thread.join();
  }
}

WorkerPool::Threads WorkerPool::End() {
  const absl::MutexLock lock(&mutex_);
  ending_ = true;
  work_.SignalAll();
  Threads all = std::move(ended_);
  ended_.clear();
  all.splice(all.end(), threads_);
  return all;
}

bool WorkerPool::TryPost(Job&& job) {
  const absl::MutexLock lock(&mutex_);
  if (jobs_.size() >= options_.max_queue + idle_ && threads_.size() >= options_.max_threads) {
    return false;
  }
  PostLocked(std::move(job));
  return true;
}

void WorkerPool::Post(Job job) {
  const absl::MutexLock lock(&mutex_);
  PostLocked(std::move(job));
}

WorkerPool::Usage WorkerPool::usage() const {
  const absl::MutexLock lock(&mutex_);
  return {.threads = threads_.size(), .busy = threads_.size() - idle_, .queued = jobs_.size()};
}

void WorkerPool::PostLocked(Job&& job) {
  jobs_.push_back(std::move(job));
  if (jobs_.size() > idle_ && threads_.size() < options_.max_threads) {
    StartThreadLocked();
  } else {
    work_.Signal();
  }
}

void WorkerPool::StartThreadLocked() {
  for (std::thread& thread : ended_) thread.join();
  ended_.clear();
  threads_.emplace_back();
  const auto self = std::prev(threads_.end());
  *self = std::thread([this, self] { Work(self); });
}

void WorkerPool::Work(Threads::iterator self) {
  NameCurrentTask(options_.name);
  const absl::MutexLock lock(&mutex_);
  while (AwaitJobLocked()) RunOneLocked();
  // While the pool ends, the list is the destructor's.
  if (!ending_) ended_.splice(ended_.end(), threads_, self);
}

bool WorkerPool::AwaitJobLocked() {
  const absl::Time until = absl::Now() + options_.keep_idle;
  while (jobs_.empty()) {
    if (ending_) return false;
    ++idle_;
    const bool expired = work_.WaitWithDeadline(&mutex_, until);
    --idle_;
    if (expired && jobs_.empty()) return false;
  }
  return true;
}

void WorkerPool::RunOneLocked() {
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  mutex_.Unlock();
  job();
  job = nullptr;  // what it holds goes while the lock is not held
  mutex_.Lock();
}

}  // namespace faultline::server
