// SPDX-License-Identifier: Apache-2.0
//
// Per-CPU and per-task storage (Linux: DEFINE_PER_CPU, local_lock_t). The CPUs are the simulated
// machine's, so there may be more tasks than CPUs. A task reaches per-CPU data only inside a
// PreemptOff scope, which gives it one CPU slot for itself: its own if that is free, else the next
// free one, as if the scheduler had moved it. Nothing in such a scope may sleep (lockdep checks).
//
// Guarantee: of all tasks, only one at a time is inside PreemptOff on a given CPU of a CpuSet.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/sync/atomic.h"
#include "core/sync/atomic_step.h"
#include "core/sync/spin.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The CPUs of one simulated machine, as far as being on one of them goes.
class CpuSet {
 public:
  /// `cpus` is at least 1.
  explicit CpuSet(uint32_t cpus) : slots_(cpus) { MM_CHECK_NE(cpus, 0u); }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }

 private:
  friend class PreemptOff;
  struct alignas(kCacheLinePad) Slot {
    Atomic<uint32_t> holder{0};  ///< id of the task inside PreemptOff here, 0 if none
  };
  std::vector<Slot> slots_;
};

/// While it lives, the calling task has a CPU for itself and must not sleep. Not nestable over one
/// CpuSet.
class [[nodiscard]] PreemptOff {
 public:
  explicit PreemptOff(CpuSet& cpus, SourceLoc where = SourceLoc::Current())
      : cpus_(cpus), where_(where) {
    Task& self = CurrentTask();
    ++self.preempt_off;
    cpu_ = self.cpu() % cpus.size();
    while (!TryEnter(self, where)) {
      if (++cpu_ == cpus.size()) cpu_ = 0;
      if (cpu_ == self.cpu() % cpus.size()) WaitForOwn(where);
    }
  }
  ~PreemptOff() {
    cpus_.slots_[cpu_].holder.Store(0, kRelease, where_);  // pairs with TryEnter
    --CurrentTask().preempt_off;
  }
  PreemptOff(const PreemptOff&) = delete;
  PreemptOff& operator=(const PreemptOff&) = delete;

  /// The CPU that the task is on.
  [[nodiscard]] uint32_t cpu() const { return cpu_; }

 private:
  bool TryEnter(const Task& self, SourceLoc where) {
    uint32_t expected = 0;
    // Acquire pairs with the release of whoever was on this CPU before.
    return cpus_.slots_[cpu_].holder.CompareExchange(expected, self.id(), kAcquire, kRelaxed,
                                                     where);
  }
  void WaitForOwn(SourceLoc where) {
    SpinUntil([&] { return cpus_.slots_[cpu_].holder.Load(kRelaxed, where) == 0; }, where);
  }

  CpuSet& cpus_;
  uint32_t cpu_;
  [[no_unique_address]] SourceLoc where_;
};

/// One T for each CPU, on cache lines of its own.
template <class T>
class PerCpu {
 public:
  explicit PerCpu(const CpuSet& cpus) : slots_(cpus.size()) {}
  /// The T of the CPU that the caller is on.
  [[nodiscard]] T& Local(const PreemptOff& preempt_off) { return slots_[preempt_off.cpu()].value; }
  /// The T of any CPU; the caller knows how to share it.
  [[nodiscard]] T& Of(uint32_t cpu) { return slots_[cpu].value; }
  [[nodiscard]] const T& Of(uint32_t cpu) const { return slots_[cpu].value; }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(slots_.size()); }

 private:
  struct alignas(kCacheLinePad) Slot {
    T value{};
  };
  std::vector<Slot> slots_;
};

/// One T for each task that asks, on cache lines of its own; made on first use, kept until the
/// PerTask ends, and inherited by a later task of the same id. Stands in for thread_local in core.
template <class T>
class PerTask {
 public:
  PerTask() : chunks_(std::make_unique<Chunks>()) {}
  ~PerTask() {
    for (std::atomic<Chunk*>& chunk : *chunks_) delete chunk.load(kRelaxed);
  }
  PerTask(const PerTask&) = delete;
  PerTask& operator=(const PerTask&) = delete;

  /// The calling task's T.
  [[nodiscard]] T& Local() {
    const uint32_t index = CurrentTask().id();
    std::atomic<Chunk*>& slot = (*chunks_)[index / kPerChunk];
    Chunk* chunk = slot.load(kAcquire);  // pairs with Grow
    if (chunk == nullptr) [[unlikely]]
      chunk = Grow(slot);
    return (*chunk)[index % kPerChunk].value;
  }
  /// Visits the T of every task, of idle ids, too. They may be in use meanwhile.
  template <class Visit>
  void ForEach(const Visit& visit) {
    for (std::atomic<Chunk*>& slot : *chunks_) {
      Chunk* chunk = slot.load(kAcquire);  // pairs with Grow
      if (chunk == nullptr) continue;
      for (Slot& task_slot : *chunk) visit(task_slot.value);
    }
  }

 private:
  static constexpr size_t kPerChunk = 64;
  static constexpr size_t kChunks = 129;  // ids up to 8192, see TaskRegistry::kMaxTasks
  struct alignas(kCacheLinePad) Slot {
    T value{};
  };
  using Chunk = std::array<Slot, kPerChunk>;
  // std::atomic: which task made a chunk is no part of the modelled machine.
  using Chunks = std::array<std::atomic<Chunk*>, kChunks>;

  static Chunk* Grow(std::atomic<Chunk*>& slot) {
    auto fresh = std::make_unique<Chunk>();
    Chunk* expected = nullptr;
    if (!slot.compare_exchange_strong(expected, fresh.get(), kAcqRel, kAcquire)) return expected;
    return fresh.release();
  }

  std::unique_ptr<Chunks> chunks_;
};

}  // namespace faultline
