// SPDX-License-Identifier: Apache-2.0
//
// The names under which Faultline writes memory orders. Every atomic operation states its order
// (rule `order-justified`): `Atomic<T>` has no default, and these short names keep call sites
// readable. They mean exactly what the std::memory_order enumerators mean. In the modelled build
// all of them execute sequentially consistently; weak orders are ThreadSanitizer's business.
#pragma once

#include <atomic>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

inline constexpr std::memory_order kRelaxed = std::memory_order_relaxed;
inline constexpr std::memory_order kAcquire = std::memory_order_acquire;
inline constexpr std::memory_order kRelease = std::memory_order_release;
inline constexpr std::memory_order kAcqRel = std::memory_order_acq_rel;
inline constexpr std::memory_order kSeqCst = std::memory_order_seq_cst;

}  // namespace faultline
