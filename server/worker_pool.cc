// SPDX-License-Identifier: Apache-2.0
//
// The pool's threads; see worker_pool.h.
#include "server/worker_pool.h"

#include <utility>

#include "core/sync/task.h"

namespace faultline::server {

WorkerPool::~WorkerPool() {
  // More than one round: the last jobs may post others, for which there may be a new thread.
  for (std::vector<std::thread> threads = End(); !threads.empty(); threads = End()) {
    for (std::thread& thread : threads) thread.join();
  }
}

std::vector<std::thread> WorkerPool::End() {
  const absl::MutexLock lock(&mutex_);
  ending_ = true;
  work_.SignalAll();
  return std::exchange(threads_, {});
}

bool WorkerPool::TryPost(Job&& job) {
  const absl::MutexLock lock(&mutex_);
  if (jobs_.size() >= options_.max_queue + idle_) return false;
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
    threads_.emplace_back([this] { Work(); });
  } else {
    work_.Signal();
  }
}

void WorkerPool::Work() {
  NameCurrentTask("worker");
  const absl::MutexLock lock(&mutex_);
  while (true) {
    if (jobs_.empty()) {
      if (ending_) return;
      ++idle_;
      work_.Wait(&mutex_);
      --idle_;
      continue;
    }
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    mutex_.Unlock();
    job();
    job = nullptr;  // what it holds goes while the lock is not held
    mutex_.Lock();
  }
}

}  // namespace faultline::server
