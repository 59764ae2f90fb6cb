// SPDX-License-Identifier: Apache-2.0
//
// Whether one set of repeated measurements is better than another, or the machine was noisy.
//
// A measurement is one figure of one run: a rate, or a percentile of a latency. Two questions are
// asked, and both must answer before a difference is claimed: whether chance could have ordered the
// figures so (Mann-Whitney), and how far the medians are apart (bootstrap). The first alone calls
// a difference of a thousandth real if runs are many, the second alone is too sure of itself if
// they are few.
//
// Measurements must be comparable: taken in turns (A B B A), so that what slows the machine down
// for a while slows both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

#include "client/measure/mann_whitney.h"

namespace faultline::client {

enum class Better : uint8_t {
  kLower,   // times
  kHigher,  // rates
};

enum class Verdict : uint8_t { kFaster, kSlower, kSame, kTooFew };
/// "faster", "slower", "same", "too few".
[[nodiscard]] std::string_view NameOf(Verdict verdict);

struct CompareOptions {
  Better better = Better::kLower;
  /// Of the interval; 1 minus it is what p must be below. So of comparisons of the same with itself
  /// not more than 2 in 100 raise an alarm, and of 200 of them hardly ever more than 10.
  double confidence = 0.98;
  /// How far from 1 the ratio must be to be worth a word.
  double least_change = 0.01;
  uint32_t resamples = 2000;
  uint64_t seed = 1;
};

/// Of B over A: A is the baseline.
struct Comparison {
  double median_a = 0;
  double median_b = 0;
  /// median_b / median_a, and where it is with the confidence that was asked for.
  double ratio = 1;
  double ratio_low = 1;
  double ratio_high = 1;
  MannWhitney test;
  Verdict verdict = Verdict::kTooFew;
};

/// Fewer of either are too few for a verdict: with four each, no order of them is as rare as one in
/// fifty. Enough for a verdict is not enough to find much: where runs differ by 2 % and one in
/// fourteen was disturbed, a change of 5 % is found by 5 measurements of each in half of the cases,
/// by 10 in four of five, by 20 in 98 of a hundred.
inline constexpr std::size_t kLeastMeasurements = 5;

/// What B is, compared to A. The rule:
///   too few  one of the sets has fewer than kLeastMeasurements
///   slower   p is below 1 - confidence, the interval of the ratio is on the worse side of 1, and
///            the ratio is at least least_change away from 1
///   faster   the same on the better side
///   same     else: no difference was shown. That there is none was not shown either; the interval
///            says how large it may be
/// The same input has the same result. INVALID_ARGUMENT if a set is empty or holds what is not
/// finite and above 0, or if an option is out of its range (confidence above 0.5 and below 1,
/// least_change in [0, 1), 100 to 1,000,000 resamples).
[[nodiscard]] absl::StatusOr<Comparison> Compare(std::span<const double> a,
                                                 std::span<const double> b,
                                                 const CompareOptions& options);

/// For a gate that tolerates B to be worse by that part (0.05: times of 105 % or rates of 95 %):
/// whether the verdict is slower and the ratio of the medians is beyond it.
[[nodiscard]] bool IsWorseThan(const Comparison& comparison, const CompareOptions& options,
                               double tolerated);

/// The middle value, or the mean of the two in the middle. Not empty, no NaN.
[[nodiscard]] double Median(std::span<const double> values);

}  // namespace faultline::client
