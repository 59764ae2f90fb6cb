// SPDX-License-Identifier: Apache-2.0
//
// Ticks and TickSource: time as the core sees it, without a clock.
//
// core/base knows no clock. The native build's source (core/env) reads the steady clock in
// nanoseconds; the modelled scheduler's source advances only when nothing can run, so that runs
// repeat. Code that needs time is handed a TickSource; nothing reaches for one.
//
// Linux analogue: ktime_t and ktime_get (CLOCK_MONOTONIC).
// Invariant: Now() of one source never decreases. Ticks of different sources do not compare.

#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/strong_int.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A point in time of one TickSource, or a span of it; nanosecond-like. The difference of two
/// points is a plain count.
using Ticks = StrongInt<struct TicksTag, std::uint64_t>;

/// Where time comes from. Implemented by core/env and by the modelled scheduler.
class TickSource {
 public:
  TickSource() = default;
  TickSource(const TickSource&) = delete;
  TickSource& operator=(const TickSource&) = delete;
  virtual ~TickSource() = default;

  /// The time now. Callable from any thread under any lock; never blocks.
  [[nodiscard]] virtual Ticks Now() noexcept = 0;
};

}  // namespace faultline
