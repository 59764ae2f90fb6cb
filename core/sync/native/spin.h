// SPDX-License-Identifier: Apache-2.0
//
// Native busy waiting. In user space the holder may have been preempted, so a wait that lasts
// offers the processor to others after a short while; a kernel spinlock need not.
#pragma once

#include <sched.h>

#include <thread>

#include "core/base/build.h"
#include "core/sync/spin.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace detail {

FAULTLINE_ALWAYS_INLINE void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

inline constexpr uint32_t kSpinsBeforeYield = 128;

}  // namespace detail

/// Returns once `condition()` holds.
template <class Predicate>
FAULTLINE_ALWAYS_INLINE void SpinUntil(const Predicate& condition,
                                       SourceLoc = SourceLoc::Current()) {
  for (uint32_t spins = 0; !condition(); ++spins) {
    if (spins < detail::kSpinsBeforeYield) {
      detail::CpuRelax();
    } else {
      sched_yield();
    }
  }
}

/// As above, but gives up when the budget is used. Returns whether the condition held.
template <class Predicate>
[[nodiscard]] FAULTLINE_ALWAYS_INLINE bool SpinUntil(const Predicate& condition, SpinBudget budget,
                                                     SourceLoc = SourceLoc::Current()) {
  for (uint32_t spins = 0; spins < budget.iterations; ++spins) {
    if (condition()) return true;
    detail::CpuRelax();
  }
  return condition();
}

}  // namespace faultline
