// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/observe/sharded_counters.h by one task, in both builds; observe_stress_test.cc has
// more tasks than CPUs.

#include "core/observe/sharded_counters.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace faultline {
namespace {

enum class Fruit : uint8_t { kApple, kPear, kCount };

TEST(ShardedCountersTest, CountsUpAndDown) {
  const CpuSet cpus(3);
  ShardedCounters<Fruit> counters(cpus);
  counters.Add(Fruit::kApple, 5);
  counters.Add(Fruit::kApple, -7);
  counters.Add(Fruit::kPear, 1);
  EXPECT_EQ(counters.Sum(Fruit::kApple), -2);
  EXPECT_EQ(counters.Sum(Fruit::kPear), 1);
}

TEST(ShardedCountersTest, ResetStartsAtZeroAsOftenAsAsked) {
  const CpuSet cpus(1);
  ShardedCounters<Fruit> counters(cpus);
  for (int round = 0; round < 3; ++round) {
    counters.Add(Fruit::kPear, 4);
    EXPECT_EQ(counters.Sum(Fruit::kPear), 4);
    counters.Reset();
    EXPECT_EQ(counters.Sum(Fruit::kPear), 0);
  }
}

}  // namespace
}  // namespace faultline
