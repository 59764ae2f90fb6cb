// SPDX-License-Identifier: Apache-2.0
//
// Waiting of a turn's threads; see lab_gate.h.
//
// One condition variable is enough: phases change a few times, and while rounds are paced each
// thread wakes by its own time.
#include "server/lab_gate.h"

#include <absl/time/time.h>

#include "core/sync/sync_clock.h"

namespace faultline::server {

bool LabGate::PassTogether() {
  const absl::MutexLock lock(&mutex_);
  if (++passing_ == threads_) changed_.SignalAll();
  while (passing_ < threads_ && !over()) changed_.Wait(&mutex_);
  return !over();
}

uint64_t LabGate::AwaitStart() {
  const absl::MutexLock lock(&mutex_);
  ++ready_;
  changed_.SignalAll();
  while (started_ns_ == 0 && !over()) changed_.Wait(&mutex_);
  return over() ? 0 : started_ns_;
}

bool LabGate::SleepUntil(uint64_t ns) {
  const absl::MutexLock lock(&mutex_);
  while (!over() && WaitLocked(ns)) {
  }
  return !over();
}

void LabGate::AwaitEnd(Done done) {
  const absl::MutexLock lock(&mutex_);
  if (done == Done::kAllRounds && ++rounds_done_ == counted_) changed_.SignalAll();
  while (!over()) changed_.Wait(&mutex_);
}

void LabGate::Left() {
  const absl::MutexLock lock(&mutex_);
  if (++left_ == threads_) changed_.SignalAll();
}

bool LabGate::AwaitReady() {
  const absl::MutexLock lock(&mutex_);
  while (ready_ < threads_ && !over()) changed_.Wait(&mutex_);
  return !over();
}

void LabGate::Enter(Phase phase) {
  const absl::MutexLock lock(&mutex_);
  if (over()) return;
  if (started_ns_ == 0) started_ns_ = SyncClockNs();
  // Release pairs with phase: who sees the measurement begun sees what was before it.
  phase_.store(phase, std::memory_order_release);
  changed_.SignalAll();
}

bool LabGate::AwaitTime(uint64_t ns, Until until) {
  const absl::MutexLock lock(&mutex_);
  while (!over()) {
    if (until == Until::kTimeOrRounds && counted_ != 0 && rounds_done_ == counted_) return true;
    if (!WaitLocked(ns)) return !over();
  }
  return false;
}

bool LabGate::rounds_done() const {
  const absl::MutexLock lock(&mutex_);
  return rounds_done_ == counted_;
}

void LabGate::AwaitAllLeft() {
  const absl::MutexLock lock(&mutex_);
  while (left_ < threads_) changed_.Wait(&mutex_);
}

bool LabGate::WaitLocked(uint64_t until_ns) {
  const uint64_t now = SyncClockNs();
  if (now >= until_ns) return false;
  const auto left = absl::Nanoseconds(static_cast<int64_t>(until_ns - now));
  (void)changed_.WaitWithTimeout(&mutex_, left);
  return true;
}

}  // namespace faultline::server
