// SPDX-License-Identifier: Apache-2.0
//
// Tests of proto/workload/random.h and pacer.h: orders are orders, draws are in range and repeat,
// and starts of rounds are where they were meant to be.
//
// Distributions are looked at coarsely and with fixed seeds: a failure is a change of the code.
#include "proto/workload/random.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultline/v1/workload.pb.h"
#include "proto/workload/pacer.h"

namespace faultline::workload {
namespace {

using ::testing::ElementsAre;

RC_GTEST_PROP(PermutationPropertyTest, GivesEachNumberOnce, ()) {
  const auto size = *rc::gen::inRange<uint64_t>(1, 3000);
  Random random(*rc::gen::arbitrary<uint64_t>());
  const Permutation permutation(size, random);
  std::vector<bool> seen(size, false);
  for (uint64_t i = 0; i < size; ++i) {
    const uint64_t at = permutation.At(i);
    RC_ASSERT(at < size);
    RC_ASSERT(!seen[at]);
    seen[at] = true;
  }
}

TEST(PermutationTest, OrdersDifferAndAreNotTheNaturalOne) {
  Random random(1);
  const auto order = [&random] {
    const Permutation permutation(1000, random);
    std::vector<uint64_t> numbers(1000);
    for (uint64_t i = 0; i < 1000; ++i) numbers[i] = permutation.At(i);
    return numbers;
  };
  const std::vector<uint64_t> first = order();
  EXPECT_NE(first, order());
  // Neighbours in it are neighbours by chance alone.
  int neighbours = 0;
  for (std::size_t i = 1; i < first.size(); ++i) neighbours += first[i] == first[i - 1] + 1 ? 1 : 0;
  EXPECT_LT(neighbours, 20);
}

RC_GTEST_PROP(RandomPropertyTest, BelowIsBelow, ()) {
  const auto bound = *rc::gen::inRange<uint64_t>(1, uint64_t{1} << 32);
  Random random(*rc::gen::arbitrary<uint64_t>());
  for (int i = 0; i < 100; ++i) RC_ASSERT(random.Below(bound) < bound);
}

TEST(RandomTest, DependsOnSeedActorThreadAndPurposeAlone) {
  const auto first = [](uint64_t seed, uint32_t actor, uint32_t thread, uint32_t purpose) {
    return Random(seed, actor, thread, purpose).Next();
  };
  std::vector<uint64_t> draws;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (uint32_t actor = 0; actor < 4; ++actor) {
      for (uint32_t thread = 0; thread < 4; ++thread) {
        for (uint32_t purpose = 0; purpose < 2; ++purpose) {
          draws.push_back(first(seed, actor, thread, purpose));
          EXPECT_EQ(draws.back(), first(seed, actor, thread, purpose));
        }
      }
    }
  }
  std::sort(draws.begin(), draws.end());
  EXPECT_EQ(std::adjacent_find(draws.begin(), draws.end()), draws.end());
}

TEST(RandomTest, ASplitCostsOneNumber) {
  Random with_split(5);
  Random without(5);
  Random child = with_split.Split();
  (void)child.Next();
  (void)without.Next();
  EXPECT_EQ(with_split.Next(), without.Next());
}

v1::Pace PaceOf(uint64_t interval_ns, bool poisson) {
  v1::Pace pace;
  pace.set_interval_ns(interval_ns);
  pace.set_poisson(poisson);
  return pace;
}

TEST(PacerTest, RoundsAreEquallySpacedFromTheStart) {
  Pacer pacer(PaceOf(1000, false), 1, 0, 0);
  EXPECT_THAT((std::vector{pacer.NextStart(), pacer.NextStart(), pacer.NextStart()}),
              ElementsAre(0, 1000, 2000));
}

TEST(PacerTest, RandomRoundsHaveTheirMean) {
  Pacer pacer(PaceOf(1000, true), 1, 0, 0);
  uint64_t last = 0;
  bool equal = true;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t start = pacer.NextStart();
    ASSERT_GE(start, last);
    equal = equal && start - last == 1000;
    last = start;
  }
  EXPECT_FALSE(equal);
  EXPECT_NEAR(static_cast<double>(last) / 10'000, 1000, 50);
}

}  // namespace
}  // namespace faultline::workload
