// SPDX-License-Identifier: Apache-2.0
//
// Tests of client/measure/histogram.h: buckets cover all numbers without gap or overlap, and what
// is told of any values is what a sorted list of them tells, within the promised 1/1024.
//
// Ranks are computed here in whole numbers, so that nothing of the histogram's own rounding is in
// what it is held to.
#include "client/measure/histogram.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace faultline::client {
namespace {

constexpr uint64_t kGreatest = std::numeric_limits<uint64_t>::max();

/// Of any number of bits, so that all octaves are met.
rc::Gen<uint64_t> AnyValue() {
  return rc::gen::map(
      rc::gen::pair(rc::gen::arbitrary<uint64_t>(), rc::gen::inRange<unsigned>(0, 64)),
      [](const auto& drawn) { return drawn.first >> drawn.second; });
}

rc::Gen<std::vector<uint64_t>> AnyValues() {
  return rc::gen::nonEmpty(rc::gen::container<std::vector<uint64_t>>(AnyValue()));
}

Histogram Of(const std::vector<uint64_t>& values) {
  Histogram histogram;
  for (const uint64_t value : values) histogram.Record(value);
  return histogram;
}

bool IsWithinPrecision(uint64_t told, uint64_t exact) {
  return told >= exact && told - exact <= exact / Histogram::kBucketsPerOctave;
}

TEST(HistogramBucketsTest, CoverAllNumbersInOrder) {
  EXPECT_EQ(Histogram::LowestOf(0), 0U);
  for (std::size_t i = 0; i + 1 < Histogram::kBuckets; ++i)
    ASSERT_EQ(Histogram::HighestOf(i) + 1, Histogram::LowestOf(i + 1)) << i;
  EXPECT_EQ(Histogram::HighestOf(Histogram::kBuckets - 1), kGreatest);
}

TEST(HistogramBucketsTest, BoundsAreInTheirBucketAndNearerThanTheTenTwentyFourth) {
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    const uint64_t lowest = Histogram::LowestOf(i);
    const uint64_t highest = Histogram::HighestOf(i);
    ASSERT_EQ(Histogram::BucketOf(lowest), i);
    ASSERT_EQ(Histogram::BucketOf(highest), i);
    ASSERT_TRUE(IsWithinPrecision(highest, lowest)) << lowest;
  }
}

TEST(HistogramTest, AnEmptyOneTellsZeros) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.min(), 0U);
  EXPECT_EQ(histogram.max(), 0U);
  EXPECT_EQ(histogram.Mean(), 0);
  EXPECT_EQ(histogram.StandardDeviation(), 0);
  EXPECT_EQ(histogram.Percentile(50), 0U);
}

TEST(HistogramTest, PercentilesAreThoseOfTheSortedValues) {
  EXPECT_TRUE(rc::check("percentiles", [] {
    std::vector<uint64_t> values = *AnyValues();
    const Histogram histogram = Of(values);
    std::sort(values.begin(), values.end());
    for (uint64_t hundredths = 0; hundredths <= 10'000; hundredths += 25) {
      // ceil, in whole numbers.
      const std::size_t rank = (hundredths * values.size() + 9'999) / 10'000;
      const uint64_t exact = values[std::max<std::size_t>(rank, 1) - 1];
      const uint64_t told = histogram.Percentile(static_cast<double>(hundredths) / 100);
      RC_ASSERT(IsWithinPrecision(told, exact));
      RC_ASSERT(told <= values.back());
    }
    RC_ASSERT(histogram.Percentile(-1) == values.front());
    RC_ASSERT(histogram.Percentile(101) == values.back());
  }));
}

TEST(HistogramTest, RanksThatAreWholeNumbersAreNotRoundedUp) {
  for (uint64_t size : {10U, 100U, 1000U, 1777U}) {
    Histogram histogram;
    for (uint64_t value = 1; value <= size; ++value) histogram.Record(value);
    for (uint64_t thousandths = 1; thousandths <= 100'000; ++thousandths) {
      const uint64_t exact = (thousandths * size + 99'999) / 100'000;
      ASSERT_EQ(histogram.Percentile(static_cast<double>(thousandths) / 1000), exact)
          << thousandths << " of " << size;
    }
  }
}

TEST(HistogramTest, CountLeastGreatestAndMeanAreExact) {
  EXPECT_TRUE(rc::check("moments", [] {
    const std::vector<uint64_t> values = *AnyValues();
    const Histogram histogram = Of(values);
    RC_ASSERT(histogram.count() == values.size());
    RC_ASSERT(histogram.min() == *std::min_element(values.begin(), values.end()));
    RC_ASSERT(histogram.max() == *std::max_element(values.begin(), values.end()));
    const auto size = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / size;
    RC_ASSERT(std::abs(histogram.Mean() - mean) <= 1e-12 * mean);
  }));
}

TEST(HistogramTest, TheStandardDeviationIsThatOfTheValuesWhereBucketsAreExact) {
  Histogram histogram;
  for (const uint64_t value : {2U, 4U, 4U, 4U, 5U, 5U, 7U, 9U}) histogram.Record(value);
  EXPECT_DOUBLE_EQ(histogram.StandardDeviation(), 2);
}

TEST(HistogramTest, OneValueHasNoStandardDeviation) {
  EXPECT_EQ(Of({123'456'789}).StandardDeviation(), 0);
}

TEST(HistogramTest, MergedPartsAreAsIfRecordedInOne) {
  EXPECT_TRUE(rc::check("merge", [] {
    const auto first = *rc::gen::container<std::vector<uint64_t>>(AnyValue());
    const auto second = *rc::gen::container<std::vector<uint64_t>>(AnyValue());
    std::vector<uint64_t> both = first;
    both.insert(both.end(), second.begin(), second.end());
    Histogram merged = Of(first);
    merged.Merge(Of(second));
    RC_ASSERT(merged == Of(both));
  }));
}

TEST(HistogramTest, ManyOfOneValueAreAsIfRecordedOneByOne) {
  Histogram at_once;
  at_once.RecordMany(123'456'789, 1000);
  at_once.RecordMany(5, 0);
  EXPECT_EQ(at_once, Of(std::vector<uint64_t>(1000, 123'456'789)));
  EXPECT_EQ(at_once.CountNear(123'456'789), 1000U);
  EXPECT_EQ(at_once.CountNear(5), 0U);
}

TEST(HistogramTest, TheGreatestNumbersDoNotOverflowTheMean) {
  Histogram histogram;
  histogram.RecordMany(kGreatest, Histogram::kMaxCount);
  EXPECT_DOUBLE_EQ(histogram.Mean(), static_cast<double>(kGreatest));
  EXPECT_EQ(histogram.Percentile(50), kGreatest);
}

}  // namespace
}  // namespace faultline::client
