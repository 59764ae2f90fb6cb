// SPDX-License-Identifier: Apache-2.0
//
// PressureHook: how the allocator, which knows nothing of reclaim, reaches it (Linux:
// wakeup_kswapd and try_to_free_pages). The Machine sets one; without one, memory that is short
// stays short.
//
// The allocator calls it with no lock of its own held, so that a hook may free and even allocate
// frames. An allocation made meanwhile by the same task ignores the watermarks and does not reclaim
// (it is in an AllocScope of kMemalloc), hence hooks do not recurse.
#pragma once

#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class PressureHook {
 public:
  virtual ~PressureHook() = default;

  /// Memory is low: whoever reclaims in the background should begin. Called from any context in
  /// which one may allocate without sleeping, often again and again; does not sleep.
  virtual void WakeKswapd() = 0;
  /// Frees about `frames` frames at the caller's expense and returns how many it freed; 0 says that
  /// nothing more can be had. An allocation asks again while that makes memory more, and a few
  /// times where it does not (FrameAllocator::kMaxReclaimRetries). May sleep. The task's AllocScope
  /// says whether it may do I/O (kNoIo) or call into file systems (kNoFs).
  [[nodiscard]] virtual uint64_t DirectReclaim(uint64_t frames) = 0;

 protected:
  PressureHook() = default;
  PressureHook(const PressureHook&) = default;
  PressureHook& operator=(const PressureHook&) = default;
};

}  // namespace faultline
