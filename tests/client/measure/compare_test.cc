// SPDX-License-Identifier: Apache-2.0
//
// Tests of client/measure/compare.h: verdicts for what is known, and how often they are wrong.
//
// The noise is what a shared machine makes of a benchmark (lognormal with a few percent, drifts
// that both sides share since they are measured in turns, and now and then a run that a neighbour
// slowed down by half), drawn with fixed seeds: a failure is a change of the code.
#include "client/measure/compare.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <limits>
#include <numbers>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/measure/mann_whitney.h"
#include "proto/workload/random.h"

namespace faultline::client {
namespace {

constexpr std::size_t kRepeats = 20;
constexpr int kComparisons = 200;

struct Pair {
  std::vector<double> a;
  std::vector<double> b;
};

double Uniform(workload::Random& random) {
  return static_cast<double>((random.Next() >> 11) + 1) * 0x1p-53;
}

double Normal(workload::Random& random) {
  return std::sqrt(2 * random.Exponential(1)) * std::cos(2 * std::numbers::pi * Uniform(random));
}

/// One run on a machine with others.
double NoisyRun(double value, workload::Random& random) {
  const double disturbed = Uniform(random) < 0.07 ? 1 + 0.5 * Uniform(random) : 1;
  return value * std::exp(0.02 * Normal(random)) * disturbed;
}

/// Times in turns; B's are longer by that factor.
Pair MeasuredInTurns(double factor, uint64_t seed, std::size_t repeats = kRepeats) {
  workload::Random random(seed);
  Pair pair;
  double drift = 0;
  for (std::size_t i = 0; i < repeats; ++i) {
    drift += 0.003 * Normal(random);
    pair.a.push_back(NoisyRun(1000 * std::exp(drift), random));
    pair.b.push_back(NoisyRun(1000 * factor * std::exp(drift), random));
  }
  return pair;
}

Comparison Compared(const std::vector<double>& a, const std::vector<double>& b,
                    const CompareOptions& options = {}) {
  const absl::StatusOr<Comparison> comparison = Compare(a, b, options);
  EXPECT_TRUE(comparison.ok()) << comparison.status();
  return comparison.ok() ? *comparison : Comparison{};
}

int CountOf(Verdict verdict, double factor, std::size_t repeats) {
  int count = 0;
  for (uint64_t seed = 1; seed <= kComparisons; ++seed) {
    const Pair pair = MeasuredInTurns(factor, seed, repeats);
    count += Compared(pair.a, pair.b).verdict == verdict ? 1 : 0;
  }
  std::cout << repeats << " of each, " << factor << " times as long: " << NameOf(verdict) << " in "
            << count << " of " << kComparisons << "\n";
  return count;
}

std::vector<double> Around(double middle, std::size_t size) {
  std::vector<double> values;
  values.reserve(size);
  for (std::size_t i = 0; i < size; ++i)
    values.push_back(middle + 0.001 * static_cast<double>(i) + 0.0001 * middle);
  return values;
}

TEST(CompareRateTest, TheSameCodeRaisesFewFalseAlarms) {
  for (const std::size_t repeats : {kLeastMeasurements, std::size_t{10}, kRepeats})
    EXPECT_GE(CountOf(Verdict::kSame, 1, repeats), kComparisons * 95 / 100);
}

TEST(CompareRateTest, FivePercentSlowerIsFound) {
  EXPECT_GE(CountOf(Verdict::kSlower, 1.05, kRepeats), kComparisons * 95 / 100);
}

TEST(CompareRateTest, FivePercentFasterIsFound) {
  EXPECT_GE(CountOf(Verdict::kFaster, 1 / 1.05, kRepeats), kComparisons * 95 / 100);
}

TEST(CompareRateTest, TheIntervalHoldsTheTrueRatio) {
  int held = 0;
  for (uint64_t seed = 1; seed <= kComparisons; ++seed) {
    const Pair pair = MeasuredInTurns(1.05, seed);
    const Comparison comparison = Compared(pair.a, pair.b);
    EXPECT_LE(comparison.ratio_low, comparison.ratio);
    EXPECT_GE(comparison.ratio_high, comparison.ratio);
    held += comparison.ratio_low <= 1.05 && 1.05 <= comparison.ratio_high ? 1 : 0;
  }
  std::cout << "the interval holds the ratio: " << held << " of " << kComparisons << "\n";
  EXPECT_GE(held, kComparisons * 95 / 100);
}

TEST(CompareTest, VerdictsGoWithWhatIsBetter) {
  const std::vector<double> small = Around(100, 8);
  const std::vector<double> large = Around(120, 8);
  const CompareOptions times{.better = Better::kLower};
  const CompareOptions rates{.better = Better::kHigher};
  EXPECT_EQ(Compared(small, large, times).verdict, Verdict::kSlower);
  EXPECT_EQ(Compared(large, small, times).verdict, Verdict::kFaster);
  EXPECT_EQ(Compared(small, large, rates).verdict, Verdict::kFaster);
  EXPECT_EQ(Compared(large, small, rates).verdict, Verdict::kSlower);
  EXPECT_EQ(Compared(small, small, times).verdict, Verdict::kSame);
}

TEST(CompareTest, FourMeasurementsAreTooFewHoweverFarApart) {
  EXPECT_EQ(Compared(Around(100, 4), Around(200, 9)).verdict, Verdict::kTooFew);
  EXPECT_EQ(Compared(Around(100, 9), Around(200, 4)).verdict, Verdict::kTooFew);
  EXPECT_EQ(Compared(Around(100, 5), Around(200, 5)).verdict, Verdict::kSlower);
  EXPECT_EQ(Compared({100}, {200}).ratio, 2);
}

TEST(CompareTest, ADifferenceThatIsCertainButSmallIsTheSame) {
  const Comparison comparison = Compared(Around(100, 20), Around(100.5, 20));
  EXPECT_LT(comparison.test.p, 0.02);
  EXPECT_GT(comparison.ratio_low, 1);
  EXPECT_EQ(comparison.verdict, Verdict::kSame);
  const CompareOptions strict{.least_change = 0.001};
  EXPECT_EQ(Compared(Around(100, 20), Around(100.5, 20), strict).verdict, Verdict::kSlower);
}

TEST(CompareTest, AGateToleratesAsMuchAsItSays) {
  const CompareOptions times{.better = Better::kLower};
  const CompareOptions rates{.better = Better::kHigher};
  const Comparison longer = Compared(Around(100, 9), Around(110, 9), times);
  EXPECT_TRUE(IsWorseThan(longer, times, 0.05));
  EXPECT_FALSE(IsWorseThan(longer, times, 0.15));
  const Comparison lower = Compared(Around(100, 9), Around(90, 9), rates);
  EXPECT_TRUE(IsWorseThan(lower, rates, 0.05));
  EXPECT_FALSE(IsWorseThan(lower, rates, 0.15));
  EXPECT_FALSE(IsWorseThan(Compared(Around(110, 9), Around(100, 9), times), times, 0));
}

TEST(CompareTest, TheSameInputHasTheSameResult) {
  const Pair pair = MeasuredInTurns(1.02, 7);
  const Comparison first = Compared(pair.a, pair.b);
  const Comparison second = Compared(pair.a, pair.b);
  EXPECT_EQ(first.ratio_low, second.ratio_low);
  EXPECT_EQ(first.ratio_high, second.ratio_high);
}

TEST(CompareTest, MedianIsTheMiddleOrBetweenTheTwo) {
  EXPECT_EQ(Median(std::vector<double>{3, 1, 2}), 2);
  EXPECT_EQ(Median(std::vector<double>{4, 1, 2, 3}), 2.5);
  EXPECT_EQ(Median(std::vector<double>{7}), 7);
}

TEST(CompareTest, RefusesWhatHasNoRatio) {
  const std::vector<double> good = Around(100, 5);
  const double infinite = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& bad :
       std::vector<std::vector<double>>{{}, {1, 0}, {1, -1}, {1, infinite}, {1, nan}}) {
    EXPECT_EQ(Compare(good, bad, {}).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Compare(bad, good, {}).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(CompareTest, RefusesOptionsOutOfRange) {
  const std::vector<double> good = Around(100, 5);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const CompareOptions& bad : std::vector<CompareOptions>{{.confidence = 1},
                                                               {.confidence = 0.5},
                                                               {.confidence = nan},
                                                               {.least_change = -0.1},
                                                               {.least_change = nan},
                                                               {.least_change = 1},
                                                               {.resamples = 99},
                                                               {.resamples = 1'000'001}})
    EXPECT_EQ(Compare(good, good, bad).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace faultline::client
