// SPDX-License-Identifier: Apache-2.0
//
// The bootstrap interval and the verdict.
//
// Both sets are drawn from anew, with replacement, as often as resamples says; the interval is what
// is between the outer quantiles of the ratios of medians. With a handful of measurements such an
// interval is too narrow, which is why no verdict rests on it alone. Sets are sorted once, so that
// a median of drawn positions is a median of drawn values.
#include "client/measure/compare.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "client/measure/mann_whitney.h"
#include "proto/workload/random.h"

namespace faultline::client {
namespace {

struct Interval {
  double low;
  double high;
};

std::vector<double> Sorted(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

double MedianOfSorted(std::span<const double> sorted) {
  const std::size_t middle = sorted.size() / 2;
  if (sorted.size() % 2 == 1) return sorted[middle];
  return sorted[middle - 1] + (sorted[middle] - sorted[middle - 1]) / 2;
}

/// Of as many values as there are, drawn from them. `drawn` is scratch of that size.
double MedianOfDraw(std::span<const double> sorted, workload::Random& random,
                    std::vector<std::size_t>& drawn) {
  for (std::size_t& position : drawn) position = random.Below(sorted.size());
  const auto middle = drawn.begin() + static_cast<std::ptrdiff_t>(drawn.size() / 2);
  std::nth_element(drawn.begin(), middle, drawn.end());
  const double upper = sorted[*middle];
  if (drawn.size() % 2 == 1) return upper;
  const double lower = sorted[*std::max_element(drawn.begin(), middle)];
  return lower + (upper - lower) / 2;
}

Interval IntervalOfRatio(std::span<const double> a, std::span<const double> b,
                         const CompareOptions& options) {
  workload::Random random(options.seed);
  std::vector<std::size_t> drawn_a(a.size());
  std::vector<std::size_t> drawn_b(b.size());
  std::vector<double> ratios(options.resamples);
  for (double& ratio : ratios) {
    const double median_a = MedianOfDraw(a, random, drawn_a);
    ratio = MedianOfDraw(b, random, drawn_b) / median_a;
  }
  std::sort(ratios.begin(), ratios.end());
  const double outside = (1 - options.confidence) / 2 * static_cast<double>(ratios.size());
  const auto left_out = static_cast<std::size_t>(outside);
  return {.low = ratios[left_out], .high = ratios[ratios.size() - 1 - left_out]};
}

Verdict VerdictOf(const Comparison& comparison, const CompareOptions& options) {
  const bool by_chance = comparison.test.p >= 1 - options.confidence;
  const bool small = std::abs(comparison.ratio - 1) < options.least_change;
  const bool below = comparison.ratio < 1 && comparison.ratio_high < 1;
  const bool above = comparison.ratio > 1 && comparison.ratio_low > 1;
  if (by_chance || small || (!below && !above)) return Verdict::kSame;
  return below == (options.better == Better::kLower) ? Verdict::kFaster : Verdict::kSlower;
}

absl::Status CheckSet(const std::string& name, std::span<const double> values) {
  if (values.empty()) return absl::InvalidArgumentError(absl::StrCat(name, " has no measurement"));
  for (const double value : values) {
    if (!std::isfinite(value) || value <= 0)
      return absl::InvalidArgumentError(
          absl::StrCat(name, " has a measurement of ", value, ": ratios need numbers above 0"));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const CompareOptions& options) {
  // Written so that a NaN is refused.
  if (!(options.confidence > 0.5 && options.confidence < 1))
    return absl::InvalidArgumentError("the confidence must be above 0.5 and below 1");
  if (!(options.least_change >= 0 && options.least_change < 1))
    return absl::InvalidArgumentError("the least change must be at least 0 and below 1");
  if (options.resamples < 100 || options.resamples > 1'000'000)
    return absl::InvalidArgumentError("resamples can be 100 to 1,000,000");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Comparison> Compare(std::span<const double> a, std::span<const double> b,
                                   const CompareOptions& options) {
  for (const absl::Status& status : {CheckSet("A", a), CheckSet("B", b), CheckOptions(options)}) {
    if (!status.ok()) return status;
  }
  const std::vector<double> sorted_a = Sorted(a);
  const std::vector<double> sorted_b = Sorted(b);
  const Interval interval = IntervalOfRatio(sorted_a, sorted_b, options);
  const double median_a = MedianOfSorted(sorted_a);
  const double median_b = MedianOfSorted(sorted_b);
  Comparison comparison{.median_a = median_a,
                        .median_b = median_b,
                        .ratio = median_b / median_a,
                        .ratio_low = interval.low,
                        .ratio_high = interval.high,
                        .test = MannWhitneyTest(sorted_a, sorted_b)};
  if (std::min(a.size(), b.size()) >= kLeastMeasurements)
    comparison.verdict = VerdictOf(comparison, options);
  return comparison;
}

bool IsWorseThan(const Comparison& comparison, const CompareOptions& options, double tolerated) {
  if (comparison.verdict != Verdict::kSlower) return false;
  return options.better == Better::kLower ? comparison.ratio > 1 + tolerated
                                          : comparison.ratio < 1 - tolerated;
}

double Median(std::span<const double> values) { return MedianOfSorted(Sorted(values)); }

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFaster:
      return "faster";
    case Verdict::kSlower:
      return "slower";
    case Verdict::kSame:
      return "same";
    case Verdict::kTooFew:
      break;
  }
  return "too few";
}

}  // namespace faultline::client
