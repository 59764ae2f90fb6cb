// SPDX-License-Identifier: Apache-2.0
//
// How long operations took: a histogram whose buckets are as wide as 1/1024 of what they hold.
//
// The buckets are HdrHistogram's with three significant figures over all of 64 bits: values below
// 2048 have one bucket each; above, each power of two is cut into 1024 buckets of one width. So
// whatever was recorded, the bounds of its bucket are less than 1/1024 of it away, memory is fixed
// (440 KiB), and to record is a shift and five additions. Count, sum, least and greatest value are
// kept exactly.
//
// Not thread-safe: each thread has its own, and they are merged when it is over.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/status/statusor.h"

namespace faultline::client {

class Histogram {
 public:
  /// A value is less than 1/2^kPrecisionBits of itself away from the bounds of its bucket.
  static constexpr unsigned kPrecisionBits = 10;
  static constexpr uint64_t kBucketsPerOctave = uint64_t{1} << kPrecisionBits;
  /// Below it every value has a bucket of its own.
  static constexpr uint64_t kExactBelow = 2 * kBucketsPerOctave;
  static constexpr unsigned kExactBits = kPrecisionBits + 1;
  static constexpr std::size_t kBuckets = kExactBelow + (64 - kExactBits) * kBucketsPerOctave;
  /// More values than this no histogram is asked to hold: up to here doubles count exactly and no
  /// sum overflows. A nanosecond each, it is a hundred days.
  static constexpr uint64_t kMaxCount = uint64_t{1} << 53;

  // Where a value is counted, and what a bucket holds: LowestOf(i) to HighestOf(i), both included.
  [[nodiscard]] static constexpr std::size_t BucketOf(uint64_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value | (kExactBelow - 1)));
    const unsigned shift = width - kExactBits;
    return (std::size_t{shift} << kPrecisionBits) + (value >> shift);
  }
  [[nodiscard]] static constexpr uint64_t LowestOf(std::size_t bucket) {
    const std::size_t shift = ShiftOf(bucket);
    return (bucket - (shift << kPrecisionBits)) << shift;
  }
  [[nodiscard]] static constexpr uint64_t HighestOf(std::size_t bucket) {
    return LowestOf(bucket) + ((uint64_t{1} << ShiftOf(bucket)) - 1);
  }

  /// Empty. The only call that allocates, beside copies and Decode.
  Histogram() : counts_(kBuckets) {}

  void Record(uint64_t value) { RecordMany(value, 1); }
  /// The same value `times` times.
  void RecordMany(uint64_t value, uint64_t times) {
    if (times == 0) return;
    counts_[BucketOf(value)] += times;
    count_ += times;
    sum_ += absl::uint128(value) * times;
    if (value < min_) min_ = value;
    if (value > max_) max_ = value;
  }
  /// As if all that `other` recorded had been recorded here.
  void Merge(const Histogram& other);

  [[nodiscard]] uint64_t count() const { return count_; }
  /// Exact; 0 if nothing was recorded.
  [[nodiscard]] uint64_t min() const { return count_ == 0 ? 0 : min_; }
  [[nodiscard]] uint64_t max() const { return max_; }
  /// Of what was recorded, not of the buckets; 0 if nothing was.
  [[nodiscard]] double Mean() const;
  /// From the middle of the buckets; 0 if nothing was recorded.
  [[nodiscard]] double StandardDeviation() const;
  /// How many values are in the bucket of `value`.
  [[nodiscard]] uint64_t CountNear(uint64_t value) const { return counts_[BucketOf(value)]; }

  /// The least recorded value such that at least `percent` of 100 of all are not above it: the one
  /// of rank ceil(percent / 100 * count()) in ascending order, the first has rank 1. No
  /// interpolation. What is returned is the greatest value of its bucket, but not more than max():
  /// never below the exact one, and less than 1/1024 above. 0 percent is min(), 100 is max(); what
  /// is outside of these counts as the nearer one; 0 if nothing was recorded.
  [[nodiscard]] uint64_t Percentile(double percent) const;

  /// The percentile distribution as text (a .hgrm file), which HdrHistogram's plotters read: value,
  /// percentile, count up to it and 1/(1-percentile), five lines for each halving of what is left.
  /// Values are divided by `unit`: 1000 prints nanoseconds as microseconds.
  [[nodiscard]] std::string HgrmText(double unit) const;

  /// All of it, to be merged elsewhere; equal histograms are equal bytes. Some bytes per bucket in
  /// use. The layout is in histogram_codec.cc and has a version.
  [[nodiscard]] std::string Encode() const;
  /// What Encode made, the whole of it and nothing behind. INVALID_ARGUMENT, with what is wrong,
  /// for everything else: cut, damaged, of another version, or no histogram that Record can make.
  [[nodiscard]] static absl::StatusOr<Histogram> Decode(std::string_view bytes);

  bool operator==(const Histogram& other) const = default;

 private:
  static constexpr std::size_t ShiftOf(std::size_t bucket) {
    return bucket < kExactBelow ? 0 : (bucket >> kPrecisionBits) - 1;
  }

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  absl::uint128 sum_ = 0;
  uint64_t min_ = std::numeric_limits<uint64_t>::max();
  uint64_t max_ = 0;
};

}  // namespace faultline::client
