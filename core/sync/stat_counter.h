// SPDX-License-Identifier: Apache-2.0
//
// StatCounter: a count that anybody may increase and only reports read (Linux: this_cpu_inc of a vm
// event). It orders nothing and decides nothing, so in the modelled build it is no scheduling
// point: what is counted is no part of the machine under test.
//
// Guarantee: no increase is lost. Whoever reads while others count sees some value of that time.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class StatCounter {
 public:
  void Add(int64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  /// For a counter that one task alone increases: cheaper.
  void AddAlone(int64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  [[nodiscard]] int64_t Read() const { return value_.load(std::memory_order_relaxed); }
  /// Increases meanwhile may be lost.
  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Reset() { Set(0); }

 private:
  std::atomic<int64_t> value_{0};
};

}  // namespace faultline
