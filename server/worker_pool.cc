// SPDX-License-Identifier: Apache-2.0
//
// The pool's threads; see worker_pool.h.
#include "server/worker_pool.h"

#include <algorithm>
#include <functional>
#include <system_error>
#include <thread>
#include <utility>

#include <absl/time/clock.h>

#include "core/sync/task.h"

namespace faultline::server {

WorkerPool::WorkerPool(Options options) : options_(std::move(options)) {
  const absl::MutexLock lock(&mutex_);
  StartThreadLocked();
}

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
  switch (MakeRoomLocked()) {
    case Room::kFreeThread:
      break;
    case Room::kQueue:
      if (jobs_.size() - free_ >= options_.max_queue) return false;
      break;
    case Room::kNoThread:
      return false;
  }
  PushLocked(std::move(job));
  return true;
}

void WorkerPool::Post(Job job) {
  const absl::MutexLock lock(&mutex_);
  (void)MakeRoomLocked();
  PushLocked(std::move(job));
}

WorkerPool::Usage WorkerPool::usage() const {
  const absl::MutexLock lock(&mutex_);
  const size_t taken = std::min(jobs_.size(), free_);
  return {.threads = threads_.size(),
          .busy = threads_.size() - free_ + taken,
          .queued = jobs_.size() - taken};
}

WorkerPool::Room WorkerPool::MakeRoomLocked() {
  if (jobs_.size() < free_) return Room::kFreeThread;
  if (threads_.size() >= options_.max_threads) return Room::kQueue;
  try {
    StartThreadLocked();
  } catch (const std::system_error&) {  // the host's limits: memory, pids of the container
    return Room::kNoThread;
  }
  return Room::kFreeThread;
}

void WorkerPool::PushLocked(Job&& job) {
  jobs_.push_back(std::move(job));
  work_.Signal();
}

void WorkerPool::StartThreadLocked() {
  for (std::thread& thread : ended_) thread.join();
  ended_.clear();
  Threads started(1);
  const auto self = started.begin();
  *self = options_.make_thread([this, self] { Work(self); });
  threads_.splice(threads_.end(), started);
  ++free_;
}

void WorkerPool::Work(Threads::iterator self) {
  NameCurrentTask(options_.name);
  const absl::MutexLock lock(&mutex_);
  while (AwaitJobLocked()) RunOneLocked();
  --free_;
  // While the pool ends, the list is the destructor's.
  if (!ending_) ended_.splice(ended_.end(), threads_, self);
}

bool WorkerPool::AwaitJobLocked() {
  const absl::Time until = absl::Now() + options_.keep_idle;
  while (jobs_.empty()) {
    if (ending_) return false;
    if (threads_.size() == 1) {
      work_.Wait(&mutex_);
    } else if (work_.WaitWithDeadline(&mutex_, until) && jobs_.empty() && threads_.size() > 1) {
      return false;
    }
  }
  return true;
}

void WorkerPool::RunOneLocked() {
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  --free_;
  mutex_.Unlock();
  job();
  job = nullptr;  // what it holds goes while the lock is not held
  mutex_.Lock();
  ++free_;
}

}  // namespace faultline::server
