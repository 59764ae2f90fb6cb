// SPDX-License-Identifier: Apache-2.0
//
// Threads for tests of the native sync layer that have to know, not guess, that somebody waits.
//
// AwaitParked looks in /proc at what the kernel says the thread is doing: it returns once the
// thread sleeps on the parker word inside its own Task, which is where every wait of core/sync ends
// up. So a test needs no sleep and no "long enough". Hand-shakes between the threads of a test use
// the standard library, so that a primitive under test never stands for its own proof.

#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <latch>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A thread with a task; joined at the end at the latest.
class TestThread {
 public:
  template <class Body>
  explicit TestThread(Body body)
      : thread_([this, body] {
          task_ = &CurrentTask();
          tid_ = static_cast<int>(syscall(SYS_gettid));
          started_.count_down();
          body();
        }) {
    started_.wait();
  }
  ~TestThread() { Join(); }
  TestThread(const TestThread&) = delete;
  TestThread& operator=(const TestThread&) = delete;

  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] Task& task() const { return *task_; }
  [[nodiscard]] uint32_t id() const { return task_->id(); }

  /// Whether the thread sleeps in Task::Park right now. Not to be asked after Join.
  [[nodiscard]] bool IsParked() const {
    std::ifstream file("/proc/self/task/" + std::to_string(tid_) + "/syscall");
    long number = 0;
    uintptr_t word = 0;
    if (!(file >> number >> std::hex >> word) || number != SYS_futex) return false;
    const auto begin = reinterpret_cast<uintptr_t>(task_);
    return word >= begin && word < begin + sizeof(Task);
  }
  /// Whether the thread sleeps anywhere. Not to be asked after Join.
  [[nodiscard]] bool IsAsleep() const {
    std::ifstream file("/proc/self/task/" + std::to_string(tid_) + "/stat");
    std::string line;
    std::getline(file, line);
    const size_t name_end = line.rfind(')');
    return name_end != std::string::npos && line.substr(name_end + 2, 1) == "S";
  }
  void AwaitParked() const {
    SpinUntil([this] { return IsParked(); });
  }
  void AwaitAsleep() const {
    SpinUntil([this] { return IsAsleep(); });
  }

 private:
  Task* task_ = nullptr;
  int tid_ = 0;
  std::latch started_{1};
  std::thread thread_;  // last: it uses the others
};

/// A thread that holds `lock` by a Guard until it is told to let go.
template <template <class> class Guard, class Lock>
class HolderThread {
 public:
  explicit HolderThread(Lock& lock)
      : thread_([this, &lock] {
          const Guard<Lock> guard(lock);
          held_.count_down();
          let_go_.acquire();
        }) {
    held_.wait();
  }
  ~HolderThread() { LetGo(); }
  HolderThread(const HolderThread&) = delete;
  HolderThread& operator=(const HolderThread&) = delete;

  void LetGo() {
    let_go_.release();
    thread_.Join();
  }
  [[nodiscard]] uint32_t id() const { return thread_.id(); }
  [[nodiscard]] Task& task() const { return thread_.task(); }

 private:
  std::latch held_{1};
  std::counting_semaphore<> let_go_{0};
  TestThread thread_;
};

template <class Lock>
using ReadHolder = HolderThread<ReadGuard, Lock>;
template <class Lock>
using WriteHolder = HolderThread<WriteGuard, Lock>;
template <class Lock>
using LockHolder = HolderThread<LockGuard, Lock>;

/// Runs `body(0)` to `body(threads - 1)` at the same time, each in a thread of its own.
template <class Body>
void RunTogether(int threads, const Body& body) {
  std::latch start(threads);
  std::vector<std::thread> running;
  running.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&start, &body, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& thread : running) thread.join();
}

}  // namespace faultline
