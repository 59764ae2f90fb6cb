// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_pressure.h. The marks see only the buddy's frames, not those on per-CPU
// lists, hence the DrainLocal calls: without them a level would be off by a list.
#include "tests/bench/fault_pressure.h"

#include <sched.h>

#include "core/base/check.h"
#include "tests/bench/pairs.h"

namespace faultline::bench {

std::string_view Name(FreeMemory free) {
  switch (free) {
    case FreeMemory::kPlenty:
      return "plenty";
    case FreeMemory::kAtLowMark:
      return "at low mark";
    case FreeMemory::kAtMin:
      return "at min";
    case FreeMemory::kBelowMin:
      return "below min";
  }
  return "?";
}

MachineOptions WithWatermarks(MachineOptions options) {
  options.memory_bytes *= 2;
  options.watermark_scale = 3000;  // of twice the memory: 6/10 of what it was
  options.min_free_frames = (options.memory_bytes >> kPageShift) / 64;
  return options;
}

// -- Pressure -------------------------------------------------------------------------------------

Pressure::Pressure(Machine& machine, FreeMemory free)
    : machine_(machine), frames_(machine.frames()), free_(free), ballast_(machine.frames()) {
  MM_CHECK(frames_.watermarks().on());
  machine_.SetPressureHook(this);
  Establish();
}

Pressure::~Pressure() { machine_.SetPressureHook(nullptr); }

void Pressure::Establish() {
  frames_.DrainLocal();
  const uint64_t free = frames_.free_above_lists();
  const uint64_t level = Level();
  if (free < level) {
    (void)ballast_.GiveBack(level - free);
  } else if (free_ != FreeMemory::kPlenty) {
    MM_CHECK(ballast_.Fill(free - level, Gfp::kMemalloc).ok());
    frames_.DrainLocal();
  }
}

/// Of kPlenty: at least.
uint64_t Pressure::Level() const {
  const Watermarks marks = frames_.watermarks();
  switch (free_) {
    case FreeMemory::kPlenty:
      return marks.high + 1;
    case FreeMemory::kAtLowMark:
      return marks.low;
    case FreeMemory::kAtMin:
      return marks.min;
    case FreeMemory::kBelowMin:
      return marks.min - FrameAllocator::kReclaimBatch;
  }
  MM_UNREACHABLE("a level without a name");
}

uint64_t Pressure::DirectReclaim(uint64_t frames) {
  if (free_ != FreeMemory::kBelowMin) return ballast_.DirectReclaim(frames);
  // The caller's list goes back first: it is refilled from what is above min, and brings free
  // memory below min again with the next frame.
  frames_.DrainLocal();
  const uint64_t target = frames_.watermarks().min + 1;
  const uint64_t free = frames_.free_above_lists();
  // Enough already: the list had it, or somebody else freed, which is progress as well.
  return free < target ? ballast_.DirectReclaim(target - free) : 1;
}

// -- Freer ----------------------------------------------------------------------------------------

Freer::Freer() : thread_([this] { Work(); }) {}

Freer::~Freer() {
  {
    const std::lock_guard guard(mutex_);
    quit_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Freer::On(Ballast& ballast, double per_ms) {
  {
    const std::lock_guard guard(mutex_);
    ballast_ = &ballast;
    per_ms_ = per_ms;
    since_ns_ = NowNs();
    freed_since_ = 0;
  }
  changed_.notify_all();
}

void Freer::Off() {
  const std::lock_guard guard(mutex_);
  ballast_ = nullptr;
}

void Freer::Work() {
  PinToCpu(1);
  (void)CurrentTask();  // registers the thread
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return quit_ || (ballast_ != nullptr && per_ms_ > 0); });
    if (quit_) return;
    FreeDueLocked();
    lock.unlock();
    sched_yield();  // not a sleep, which would be a tenth of a phase
    lock.lock();
  }
}

void Freer::FreeDueLocked() {
  const auto due = static_cast<uint64_t>(1e-6 * static_cast<double>(NowNs() - since_ns_) * per_ms_);
  if (due <= freed_since_) return;
  freed_ += ballast_->GiveBack(due - freed_since_);
  freed_since_ = due;
}

}  // namespace faultline::bench
