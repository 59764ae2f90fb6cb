// SPDX-License-Identifier: Apache-2.0
//
// Tests of client/measure/mann_whitney.h against published values: tables of critical values of U
// (as in every textbook of statistics), and the two examples of R's manual page wilcox.test, which
// prints their p. And against counting all orders, where these are few.
#include "client/measure/mann_whitney.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

namespace faultline::client {
namespace {

struct Critical {
  std::size_t a;
  std::size_t b;
  uint64_t u;
};

/// `u` is the greatest that is significant at that level.
void ExpectCritical(const Critical& row, double level) {
  EXPECT_LE(ExactP(row.a, row.b, row.u), level) << row.a << " " << row.b;
  EXPECT_GT(ExactP(row.a, row.b, row.u + 1), level) << row.a << " " << row.b;
  EXPECT_EQ(ExactP(row.a, row.b, row.u), ExactP(row.b, row.a, row.u));
  EXPECT_EQ(ExactP(row.a, row.b, row.u), ExactP(row.a, row.b, row.a * row.b - row.u));
}

TEST(MannWhitneyTableTest, TwoSidedFivePercent) {
  for (const Critical& row : std::vector<Critical>{{4, 4, 0},
                                                   {5, 5, 2},
                                                   {5, 10, 8},
                                                   {6, 6, 5},
                                                   {7, 7, 8},
                                                   {7, 9, 12},
                                                   {8, 8, 13},
                                                   {9, 9, 17},
                                                   {10, 10, 23},
                                                   {12, 12, 37},
                                                   {15, 15, 64},
                                                   {10, 20, 55},
                                                   {20, 20, 127}})
    ExpectCritical(row, 0.05);
}

TEST(MannWhitneyTableTest, TwoSidedOnePercent) {
  for (const Critical& row : std::vector<Critical>{{5, 5, 0},
                                                   {6, 6, 2},
                                                   {7, 7, 4},
                                                   {8, 8, 7},
                                                   {9, 9, 11},
                                                   {10, 10, 16},
                                                   {12, 12, 27},
                                                   {15, 15, 51},
                                                   {20, 20, 105}})
    ExpectCritical(row, 0.01);
}

TEST(MannWhitneyTest, ExactExampleOfTheRManual) {
  // Permeability of a membrane at term and at 12 to 26 weeks (Hollander and Wolfe, 1973, p. 69).
  const std::vector<double> x{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
  const std::vector<double> y{1.15, 0.88, 0.90, 0.74, 1.21};
  const MannWhitney result = MannWhitneyTest(x, y);
  EXPECT_EQ(result.method, PMethod::kExact);
  EXPECT_EQ(result.u, 35);
  EXPECT_NEAR(result.p, 0.2544, 0.00005);
  EXPECT_EQ(MannWhitneyTest(y, x).p, result.p);
}

TEST(MannWhitneyTest, ExampleWithTiesOfTheRManual) {
  // Ozone in New York, May and August 1973 (the data set airquality): W = 127.5, p = 0.0001208.
  const std::vector<double> may{41, 36, 12, 18, 28, 23, 19, 8, 7,  16, 11, 14,  18,
                                14, 34, 6,  30, 11, 1,  11, 4, 32, 23, 45, 115, 37};
  const std::vector<double> august{39, 9,  16, 78, 35, 66, 122, 89,  110, 44, 28,  65, 22,
                                   59, 23, 31, 44, 21, 9,  45,  168, 73,  76, 118, 84, 85};
  const MannWhitney result = MannWhitneyTest(may, august);
  EXPECT_EQ(result.method, PMethod::kNormal);
  EXPECT_EQ(result.u, 127.5);
  EXPECT_NEAR(result.p, 0.0001208, 0.00000005);
}

TEST(MannWhitneyTest, ExactPIsTheShareOfAllOrders) {
  constexpr std::size_t kA = 4;
  constexpr std::size_t kB = 5;
  std::vector<double> orders(kA * kB + 1, 0);
  double all = 0;
  for (unsigned set = 0; set < 1U << (kA + kB); ++set) {
    if (std::popcount(set) != kA) continue;
    std::size_t u = 0;
    for (unsigned i = 0; i < kA + kB; ++i) {
      if (((set >> i) & 1) == 1)
        u += i - static_cast<unsigned>(std::popcount(set & ((1U << i) - 1)));
    }
    ++orders[u];
    ++all;
  }
  double below = 0;
  for (std::size_t u = 0; u <= kA * kB / 2 - 1; ++u) {
    below += orders[u];
    EXPECT_DOUBLE_EQ(ExactP(kA, kB, u), 2 * below / all) << u;
  }
  EXPECT_EQ(ExactP(kA, kB, kA * kB / 2), 1);
}

TEST(MannWhitneyTest, TheLargestExactSizesAgreeWithTheApproximation) {
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 28; ++i) {
    a.push_back(2 * i);
    b.push_back(2 * i + 11);
  }
  const MannWhitney exact = MannWhitneyTest(a, b);
  ASSERT_EQ(exact.method, PMethod::kExact);
  const double standard_deviation = std::sqrt(28 * 28 * 57 / 12.0);
  const double distance = (std::abs(exact.u - 28 * 28 / 2.0) - 0.5) / standard_deviation;
  EXPECT_NEAR(exact.p, std::erfc(distance / std::numbers::sqrt2), 0.05 * exact.p);

  b.push_back(100);
  const MannWhitney larger = MannWhitneyTest(a, b);
  EXPECT_EQ(larger.method, PMethod::kNormal);
  EXPECT_LT(larger.p, exact.p);
}

TEST(MannWhitneyTest, EqualValuesAreNoDifference) {
  const std::vector<double> same(8, 3.0);
  const MannWhitney result = MannWhitneyTest(same, same);
  EXPECT_EQ(result.p, 1);
  EXPECT_EQ(result.u, 32);
}

}  // namespace
}  // namespace faultline::client
