// SPDX-License-Identifier: Apache-2.0
//
// Hinted<T>: a number that is written under a lock, read reliably under it, and read by anybody as
// a hint (Linux: WRITE_ONCE and READ_ONCE around mm->map_count and its kin). Reports want such
// numbers without stalling those who hold the lock.
//
// Relaxed: a hint orders nothing and decides nothing. So in the modelled build it is no scheduling
// point, as StatCounter is none; what decides reads it under the lock.
// Invariant: one task writes at a time, so an increment is a load and a store.
#pragma once

#include <atomic>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

template <class T>
class Hinted {
 public:
  constexpr explicit(false) Hinted(T value = {}) : value_(value) {}
  constexpr Hinted(const Hinted& other) : value_(other.Get()) {}
  constexpr Hinted& operator=(const Hinted& other) {
    Set(other.Get());
    return *this;
  }
  ~Hinted() = default;

  [[nodiscard]] constexpr T Get() const { return value_.load(std::memory_order_relaxed); }
  constexpr operator T() const { return Get(); }  // NOLINT(google-explicit-constructor): a hint
  void Set(T value) { value_.store(value, std::memory_order_relaxed); }
  Hinted& operator+=(T by) {
    Set(Get() + by);
    return *this;
  }
  Hinted& operator++() { return *this += 1; }
  Hinted& operator--() { return *this += T(-1); }

 private:
  std::atomic<T> value_;
};

}  // namespace faultline
