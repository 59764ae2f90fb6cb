// SPDX-License-Identifier: Apache-2.0
//
// What a task is doing, as explanations and statistics by caller name it: the operation on an mm,
// or the fault (Linux: what one reads off the stack below an mmap_lock tracepoint).
//
// core/sync carries the bare number (Task::SetActivity): waits and holds of locks are counted under
// it (core/sync/lock_callers.h), and wait records carry that of waiter and holder.
// Invariant: an activity is in force from the scope that set it to that scope's end, when the one
// around it is again; so an operation inside an operation is counted as the inner one.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/build.h"
#include "core/sync/lock_callers.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class Activity : uint16_t {
  kNone,         ///< nothing was said
  kFault,        ///< a page fault, stack growth excepted
  kMmap,         ///< MAP_FIXED's unmapping included
  kMunmap,       ///< munmap
  kMprotect,     ///< mprotect, and mseal
  kMremap,       ///< mremap
  kMadvise,      ///< madvise, its zapping included
  kBrk,          ///< brk, either way
  kMlock,        ///< mlock, munlock and their kin
  kFork,         ///< on the parent's mm and the child's
  kExit,         ///< tearing an mm down
  kStackGrowth,  ///< a fault below a stack, with mmap_lock for write
  kReadMaps,     ///< looking at the VMAs: maps, smaps, queries
  kPopulate,     ///< faulting in on behalf of mmap, mlock or madvise
  kReclaim,      ///< taking pages away under memory pressure
  kOther,        ///< anything else
  kCount
};

static_assert(static_cast<uint16_t>(Activity::kCount) < kCallerTags,
              "each activity has lock statistics of its own");

[[nodiscard]] std::string_view Name(Activity activity);

/// The activity that goes by `tag`; kOther for tags that are none.
[[nodiscard]] constexpr Activity ActivityOf(uint16_t tag) {
  return tag < static_cast<uint16_t>(Activity::kCount) ? Activity{tag} : Activity::kOther;
}

/// While it lives, the calling task is doing `activity`. One relaxed store at each end.
class [[nodiscard]] ActivityScope {
 public:
  explicit ActivityScope(Activity activity, Task& self = CurrentTask())
      : self_(self), outer_(self.activity()) {
    self.SetActivity(static_cast<uint16_t>(activity));
  }
  ~ActivityScope() { self_.SetActivity(outer_); }
  ActivityScope(const ActivityScope&) = delete;
  ActivityScope& operator=(const ActivityScope&) = delete;

 private:
  Task& self_;
  uint16_t outer_;
};

}  // namespace faultline
