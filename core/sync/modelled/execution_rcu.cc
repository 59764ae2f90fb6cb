// SPDX-License-Identifier: Apache-2.0
//
// RCU in the modelled build. A grace period ends when the search says so, at any moment after the
// last section that had begun when it was asked for: callbacks run on a fiber of their own, which
// is eligible exactly while the oldest retired object is ripe.
//
// Entering and leaving a section are no scheduling points. A section counts from its first step on
// and until its last: the shortest span that real timing allows. A longer one only makes grace
// periods later, and that they come late is the search's choice anyway; so no behaviour is lost,
// and schedules are shorter by two points per section.
#include "core/base/check.h"
#include "core/sync/lockdep.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/execution_fiber.h"
#include "core/sync/rcu.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void Execution::RcuEnter(SourceLoc where) {
  if (current_->rcu_depth++ != 0) return;
  current_->rcu_section = ++rcu_sections_;
  current_->rcu_began = 0;
  current_->rcu_entered_at = where;
}

void Execution::RcuLeave(SourceLoc where) {
  MM_CHECK_NE(current_->rcu_depth, 0u);
  if (--current_->rcu_depth != 0) return;
  if (current_->rcu_began != 0) {
    Note("rcu-leave", nullptr, where);
    NoteAccess(&grace_period_, /*write=*/false, 0);
  }
  current_->rcu_section = 0;
  current_->rcu_began = 0;
}

bool Execution::InRcuSection() const { return current_->rcu_depth != 0; }

uint64_t Execution::rcu_section() const { return current_->rcu_section; }

void Execution::RcuRetire(RcuHead* head, void (*callback)(RcuHead*), SourceLoc where) {
  Point({OpKind::kRetire, &grace_period_, where});
  for (size_t i = retired_done_; i < retired_.size(); ++i) {
    if (retired_[i].head == head) {
      Violate(ViolationKind::kUseAfterFree, "an object was retired twice\n");
    }
  }
  NoteAccess(&grace_period_, /*write=*/true, retired_.size());
  retired_.push_back({head, callback, ++rcu_stamp_});
}

/// Whether a section that began before `stamp` is still open.
bool Execution::SectionsBegunBefore(uint64_t stamp) const {
  for (int i = 0; i < fiber_count_; ++i) {
    const uint64_t began = fibers_[static_cast<size_t>(i)]->rcu_began;
    if (began != 0 && began < stamp) return true;
  }
  return false;
}

bool Execution::HasRipeCallback() const {
  return retired_done_ < retired_.size() && !SectionsBegunBefore(retired_[retired_done_].stamp);
}

/// The callback fiber. One step runs everything that is ripe, in the order in which it was retired.
void Execution::RunRcuCallbacks() {
  const auto may_run = [this] { return stopping_ || HasRipeCallback(); };
  while (true) {
    Point({OpKind::kGracePeriod, &grace_period_, SourceLoc::Current()}, Condition(may_run));
    if (stopping_) return;
    NoteAccess(&grace_period_, /*write=*/true, retired_.size() - retired_done_);
    RunRipeCallbacks();
  }
}

void Execution::RunRipeCallbacks() {
  while (HasRipeCallback()) {
    const Retired ripe = retired_[retired_done_++];
    ripe.callback(ripe.head);
    NoteAccess(&grace_period_, /*write=*/false, 0);  // whether another one is ripe
  }
}

void Execution::RcuSynchronize(SourceLoc where) {
  MaySleep("synchronize", where);
  Point({OpKind::kRetire, &grace_period_, where});
  NoteAccess(&grace_period_, /*write=*/true, 0);
  const uint64_t stamp = ++rcu_stamp_;
  const auto is_over = [this, stamp] { return !SectionsBegunBefore(stamp); };
  Point({OpKind::kSynchronize, &grace_period_, where}, Condition(is_over));
  NoteAccess(&grace_period_, /*write=*/true, 0);
}

void Execution::RcuBarrier(SourceLoc where) {
  MaySleep("rcu barrier", where);
  NoteAccess(&grace_period_, /*write=*/false, 0);
  const size_t goal = retired_.size();
  const auto have_run = [this, goal] { return retired_done_ >= goal; };
  Point({OpKind::kSynchronize, &grace_period_, where}, Condition(have_run));
  NoteAccess(&grace_period_, /*write=*/true, 0);
}

}  // namespace faultline
