// SPDX-License-Identifier: Apache-2.0
//
// Completions (Linux: struct completion): one task waits until another says that something is done.
// Each Complete lets one waiter through, whether it comes before or after; CompleteAll lets
// everyone through for ever. A waiter that was let through may end the completion at once, so it
// may live in the waiter's frame. Invariant: done_ counts the Completes not yet consumed, or is
// kForAll.
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
    const auto add_one = [this, where] {
      uint32_t done = done_.Load(kRelaxed, where);
      // Release pairs with TryTake: what was done before is visible to who is let through.
      while (done != kForAll && !done_.CompareExchange(done, done + 1, kRelease, kRelaxed, where)) {
      }
    };
    queue_.ChangeAndWakeOne(add_one, where);
  }
  /// Lets every waiter through, now and later. Any context.
  void CompleteAll(SourceLoc where = SourceLoc::Current()) {
    // Release pairs with TryTake.
    queue_.ChangeAndWakeAll([this, where] { done_.Store(kForAll, kRelease, where); }, where);
  }
  /// Waits to be let through. May sleep. Afterwards the completion may end.
  void Wait(SourceLoc where = SourceLoc::Current()) {
    queue_.Wait([this, where] { return TryTake(where); }, where);
    queue_.AwaitWakers(where);
  }
  /// As Wait, but a killed task gives up with EINTR, and one in a NoWaitScope with EAGAIN.
  [[nodiscard]] Result<void> WaitKillable(SourceLoc where = SourceLoc::Current()) {
    const auto result = queue_.WaitKillable([this, where] { return TryTake(where); }, where);
    if (result.ok()) queue_.AwaitWakers(where);
    return result;
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
