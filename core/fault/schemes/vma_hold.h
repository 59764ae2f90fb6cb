// SPDX-License-Identifier: Apache-2.0
//
// The end of Begin that the schemes with a lock on the VMA share (Linux: what lock_vma_under_rcu's
// callers do with its answer): the hold takes over what the lookup found, or why it did not.
// Internal to the schemes' sources.
//
// Invariant: the view is copied under the lock only, and misses are counted whether or not it was
// had.
#pragma once

#include "core/base/build.h"
#include "core/fault/fault_scheme.h"
#include "core/vma/held_vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Fills a hold that has a `vma`; false if nothing is held.
template <class Hold>
[[nodiscard]] bool TakeOver(FaultTarget& target, Hold& hold, HeldVma held, uint32_t misses) {
  if (misses != 0) target.stats.Count(FaultCounter::kVmaLockMiss, misses);
  hold.vma = held.vma;
  hold.reason = held.reason;
  if (held.vma == nullptr) return false;
  hold.view.CopyFrom(held.vma);
  return true;
}

}  // namespace faultline
