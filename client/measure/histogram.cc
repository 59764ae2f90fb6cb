// SPDX-License-Identifier: Apache-2.0
//
// What is computed from a histogram's buckets: merging, percentiles, moments.
//
// The rank of a percentile is a product of doubles and may come out a hair above the whole number
// that is meant (99.9 percent of 1000); ceil would make the next rank of it. So the product is
// lowered by a few units of its last place, which moves no rank that is meant.
#include "client/measure/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/numeric/int128.h"

namespace faultline::client {

void Histogram::Merge(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

double Histogram::Mean() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

double Histogram::StandardDeviation() const {
  if (count_ == 0) return 0;
  const auto middle_of = [](std::size_t bucket) {
    const uint64_t lowest = LowestOf(bucket);
    return static_cast<double>(lowest) + static_cast<double>(HighestOf(bucket) - lowest) / 2;
  };
  const auto count = static_cast<double>(count_);
  const std::size_t first = BucketOf(min_);
  const std::size_t last = BucketOf(max_);
  // Around the mean of the middles, so that many of one value have none.
  double mean = 0;
  for (std::size_t i = first; i <= last; ++i)
    mean += middle_of(i) * (static_cast<double>(counts_[i]) / count);
  double squares = 0;
  for (std::size_t i = first; i <= last; ++i) {
    const double distance = middle_of(i) - mean;
    squares += distance * distance * static_cast<double>(counts_[i]);
  }
  return std::sqrt(squares / count);
}

uint64_t Histogram::Percentile(double percent) const {
  if (count_ == 0) return 0;
  constexpr double kHair = 0x1p-50;
  const double wanted = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(count_);
  const auto rank = static_cast<uint64_t>(std::ceil(wanted * (1 - kHair)));
  if (rank == 0) return min_;
  uint64_t up_to = 0;
  for (std::size_t i = BucketOf(min_); i < BucketOf(max_); ++i) {
    up_to += counts_[i];
    if (up_to >= rank) return HighestOf(i);
  }
  return max_;
}

}  // namespace faultline::client
