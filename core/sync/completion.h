// SPDX-License-Identifier: Apache-2.0
//
// Completions (Linux: struct completion): one task waits until another says that something is done.
// Each Complete lets one waiter through, whether it comes before or after; CompleteAll lets
// everyone through for ever. Invariant: done_ counts the Completes not yet consumed, or is kForAll.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/sync/atomic.h"
#include "core/sync/wait_queue.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Completion {
 public:
  /// Lets one waiter through, now or later. Any context.
  void Complete(SourceLoc where = SourceLoc::Current()) {
    uint32_t done = done_.Load(kRelaxed, where);
    // Release pairs with TryTake: what was done before is visible to who is let through.
    while (done != kForAll && !done_.CompareExchange(done, done + 1, kRelease, kRelaxed, where)) {
    }
    queue_.WakeOne(where);
  }
  /// Lets every waiter through, now and later. Any context.
  void CompleteAll(SourceLoc where = SourceLoc::Current()) {
    done_.Store(kForAll, kRelease, where);  // pairs with TryTake
    queue_.WakeAll(where);
  }
  /// Waits to be let through. May sleep.
  void Wait(SourceLoc where = SourceLoc::Current()) {
    queue_.Wait([this, where] { return TryTake(where); }, where);
  }
  /// As Wait, but a killed task gives up with EINTR.
  [[nodiscard]] Result<void> WaitKillable(SourceLoc where = SourceLoc::Current()) {
    return queue_.WaitKillable([this, where] { return TryTake(where); }, where);
  }

 private:
  static constexpr uint32_t kForAll = UINT32_MAX;

  bool TryTake(SourceLoc where) {
    uint32_t done = done_.Load(kAcquire, where);  // pairs with Complete and CompleteAll
    while (done != 0) {
      if (done == kForAll) return true;
      if (done_.CompareExchange(done, done - 1, kAcquire, kAcquire, where)) return true;
    }
    return false;
  }

  Atomic<uint32_t> done_{0};
  WaitQueue queue_;
};

}  // namespace faultline
