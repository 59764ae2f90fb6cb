// SPDX-License-Identifier: Apache-2.0
//
// Native `Atomic<T>`: std::atomic behind the core's interface (see core/sync/atomic.h for the
// contract). The SourceLoc parameters are empty objects here and cost nothing; they exist so that
// both builds share call sites.
#pragma once

#include <atomic>
#include <concepts>
#include <type_traits>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/memory_order.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// An integer type that arithmetic and bit operations make sense on.
template <class T>
concept AtomicInteger = std::integral<T> && !std::same_as<T, bool>;

/// A shared word; see core/sync/atomic.h. Lock-free for every admitted T.
template <class T>
class Atomic {
  // NOLINTNEXTLINE(bugprone-sizeof-expression): T may be a pointer
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

 public:
  constexpr Atomic() noexcept : value_(T{}) {}
  explicit constexpr Atomic(T value) noexcept : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  [[nodiscard]] FAULTLINE_ALWAYS_INLINE T Load(std::memory_order order,
                                               SourceLoc = SourceLoc::Current()) const noexcept {
    return value_.load(order);
  }
  /// The value, for checks and reports only: never a scheduling point, never a basis for decisions.
  [[nodiscard]] FAULTLINE_ALWAYS_INLINE T Peek() const noexcept { return value_.load(kRelaxed); }
  FAULTLINE_ALWAYS_INLINE void Store(T value, std::memory_order order,
                                     SourceLoc = SourceLoc::Current()) noexcept {
    value_.store(value, order);
  }
  FAULTLINE_ALWAYS_INLINE T Exchange(T value, std::memory_order order,
                                     SourceLoc = SourceLoc::Current()) noexcept {
    return value_.exchange(value, order);
  }
  /// Strong compare-and-swap. On failure `expected` receives the value found.
  [[nodiscard]] FAULTLINE_ALWAYS_INLINE bool CompareExchange(
      T& expected, T desired, std::memory_order success, std::memory_order failure,
      SourceLoc = SourceLoc::Current()) noexcept {
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }

  FAULTLINE_ALWAYS_INLINE T FetchAdd(T delta, std::memory_order order,
                                     SourceLoc = SourceLoc::Current()) noexcept
    requires AtomicInteger<T>
  {
    return value_.fetch_add(delta, order);
  }
  FAULTLINE_ALWAYS_INLINE T FetchSub(T delta, std::memory_order order,
                                     SourceLoc = SourceLoc::Current()) noexcept
    requires AtomicInteger<T>
  {
    return value_.fetch_sub(delta, order);
  }
  FAULTLINE_ALWAYS_INLINE T FetchOr(T bits, std::memory_order order,
                                    SourceLoc = SourceLoc::Current()) noexcept
    requires AtomicInteger<T>
  {
    return value_.fetch_or(bits, order);
  }
  FAULTLINE_ALWAYS_INLINE T FetchAnd(T bits, std::memory_order order,
                                     SourceLoc = SourceLoc::Current()) noexcept
    requires AtomicInteger<T>
  {
    return value_.fetch_and(bits, order);
  }

 private:
  std::atomic<T> value_;
  static_assert(std::atomic<T>::is_always_lock_free);
};

}  // namespace faultline
