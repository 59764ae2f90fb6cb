// SPDX-License-Identifier: Apache-2.0
//
// Waiting for each other's progress; see progress_group.h.
#include "server/progress_group.h"

#include <algorithm>
#include <utility>

#include <absl/time/clock.h>

namespace faultline::server {

OrRefusal<std::unique_ptr<ProgressMember>> ProgressGroups::Join(const std::string& name,
                                                                uint64_t number) {
  const absl::MutexLock lock(&mutex_);
  auto& group = groups_[name];
  if (group == nullptr) group = std::make_shared<ProgressGroup>();
  const absl::MutexLock group_lock(&group->mutex_);
  ProgressGroup::Member& member = group->members_[number];
  if (member.state != ProgressGroup::Member::State::kExpected) {
    return AlreadyExists("open.progress_number", std::to_string(number));
  }
  member.state = ProgressGroup::Member::State::kThere;
  ++group->there_;
  return std::unique_ptr<ProgressMember>(new ProgressMember(*this, name, group, member));
}

void ProgressGroups::Leave(const std::string& name, ProgressGroup& group,
                           ProgressGroup::Member& member) {
  const absl::MutexLock lock(&mutex_);
  const absl::MutexLock group_lock(&group.mutex_);
  member.state = ProgressGroup::Member::State::kLeft;
  member.progress.SignalAll();
  // Those that still use a group that is erased have a reference of their own.
  if (--group.there_ == 0) groups_.erase(name);
}

ProgressMember::~ProgressMember() { groups_.Leave(name_, *group_, self_); }

bool ProgressGroup::WaitsForLocked(const Member& from, const Member& target) const {
  const Member* member = &from;
  while (member != &target && member->IsStuck()) member = member->waiting_for;
  return member == &target;
}

std::optional<Errno> ProgressMember::Wait(uint64_t number, uint64_t count, absl::Duration timeout) {
  using State = ProgressGroup::Member::State;
  const absl::Time deadline = absl::Now() + timeout;
  const absl::MutexLock lock(&group_->mutex_);
  ProgressGroup::Member& target = group_->members_[number];
  std::optional<Errno> error;
  while (true) {
    target.wake_at.store(std::min(count, target.wake_at.load(std::memory_order_relaxed)),
                         std::memory_order_seq_cst);  // as CountOne
    if (target.done.load(std::memory_order_seq_cst) >= count) break;
    if (self_.killed) {
      error = Errno::kEintr;
    } else if (target.state == State::kLeft) {
      error = Errno::kEsrch;
    } else if (group_->WaitsForLocked(target, self_)) {
      error = Errno::kEdeadlk;
    } else if (absl::Now() >= deadline) {
      error = Errno::kEtimedout;
    }
    if (error) break;
    self_.waiting_for = &target;
    self_.waiting_count = count;
    target.progress.WaitWithDeadline(&group_->mutex_, deadline);
    self_.waiting_for = nullptr;
  }
  return error;
}

void ProgressMember::WakeWaiters() {
  const absl::MutexLock lock(&group_->mutex_);
  self_.wake_at.store(UINT64_MAX, std::memory_order_relaxed);  // who waits on sets it again
  self_.progress.SignalAll();
}

absl::Time ProgressMember::ClockBegan() {
  const absl::MutexLock lock(&group_->mutex_);
  if (!group_->clock_began_) group_->clock_began_ = absl::Now();
  return *group_->clock_began_;
}

void ProgressMember::Kill() {
  const absl::MutexLock lock(&group_->mutex_);
  self_.killed = true;
  if (self_.waiting_for != nullptr) self_.waiting_for->progress.SignalAll();
}

}  // namespace faultline::server
