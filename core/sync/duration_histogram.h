// SPDX-License-Identifier: Apache-2.0
//
// Distributions of durations: DurationHistogram is what a report gets, TaskHistogram the form in
// which one task counts while others may look (Linux: hist triggers with .log2 keys; lock_stat has
// only minimum, maximum and total, which is why users ask for buckets).
//
// Invariant: a TaskHistogram has one writer at a time; its counters are relaxed, since each stands
// for itself, and an increment is therefore a plain add.
// Guarantee: once nobody counts, the buckets of a histogram add up to `count`.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A distribution of durations in nanoseconds: bucket b counts those in [2^b, 2^(b+1)), bucket 0
/// also zero, the last bucket also everything above.
struct DurationHistogram {
  static constexpr int kBuckets = 36;  ///< up to about 34 s
  std::array<uint64_t, kBuckets> buckets{};
  uint64_t count = 0;
  uint64_t total_ns = 0;
  uint64_t max_ns = 0;

  [[nodiscard]] static constexpr int BucketOf(uint64_t ns) {
    const auto bucket = ns == 0 ? 0 : static_cast<int>(std::bit_width(ns)) - 1;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
};

/// A count that one task alone increases and anybody may read.
class TaskCounter {
 public:
  void Add(uint64_t by) { Set(Read() + by); }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t Read() const { return value_.load(std::memory_order_relaxed); }

 private:
  // std::atomic: counting is no part of the modelled machine. Relaxed: it orders nothing.
  std::atomic<uint64_t> value_{0};
};

/// A DurationHistogram in the making.
class TaskHistogram {
 public:
  /// Counts one duration. True if none so far was longer.
  bool Add(uint64_t ns);
  void AddTo(DurationHistogram& sum) const;
  void Reset();

  [[nodiscard]] uint64_t count() const { return count_.Read(); }
  [[nodiscard]] uint64_t max_ns() const { return max_ns_.Read(); }

 private:
  std::array<TaskCounter, DurationHistogram::kBuckets> buckets_;
  TaskCounter count_;
  TaskCounter total_ns_;
  TaskCounter max_ns_;
};

}  // namespace faultline
