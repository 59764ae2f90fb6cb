// SPDX-License-Identifier: Apache-2.0
//
// Stops, and the set of what is under way; see lab_stream.h.
//
// A stop's hook is called under its mutex, so that it is not called any more when the Hook has
// ended, whoever was faster.
#include "server/lab_stream.h"

#include <utility>

namespace faultline::server {

void LabStop::Stop(Why why) {
  const absl::MutexLock lock(&mutex_);
  if (why_ != Why::kNot) return;
  why_ = why;
  if (hook_) hook_();
}

LabStop::Why LabStop::why() const {
  const absl::MutexLock lock(&mutex_);
  return why_;
}

LabStop::Hook::Hook(LabStop& stop, std::function<void()> hook) : stop_(stop) {
  const absl::MutexLock lock(&stop_.mutex_);
  stop_.hook_ = std::move(hook);
  if (stop_.why_ != Why::kNot) stop_.hook_();
}

LabStop::Hook::~Hook() {
  const absl::MutexLock lock(&stop_.mutex_);
  stop_.hook_ = nullptr;
}

MaybeRefusal LabRuns::TryAdd(LabStop& run) {
  const absl::MutexLock lock(&mutex_);
  if (draining_) return Draining();
  if (runs_.size() >= limit_) return Overloaded("Limits.max_lab_runs", limit_);
  runs_.insert(&run);
  return {};
}

void LabRuns::Remove(LabStop& run) {
  const absl::MutexLock lock(&mutex_);
  runs_.erase(&run);
}

void LabRuns::Drain() {
  const absl::MutexLock lock(&mutex_);
  draining_ = true;
  for (LabStop* run : runs_) run->Stop(LabStop::Why::kDraining);
}

}  // namespace faultline::server
