// SPDX-License-Identifier: Apache-2.0
//
// The instance's epoch marks the numbers that it gives: they stay below 2^53, and another instance
// knows them for foreign.
#include "server/epoch.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace faultline::server {
namespace {

TEST(EpochTest, KnowsItsOwnNumbers) {
  const Epoch epoch(0xabcd'e000'0000'0001);
  for (const uint32_t sequence : {uint32_t{0}, uint32_t{1}, UINT32_MAX}) {
    const uint64_t number = epoch.NumberOf(sequence);
    EXPECT_TRUE(epoch.Gave(number));
    EXPECT_LT(number, uint64_t{1} << 53);
    EXPECT_EQ(static_cast<uint32_t>(number), sequence);
  }
}

TEST(EpochTest, DoesNotTakeNumbersOfOthersForItsOwn) {
  const Epoch epoch(0xabcd'e000'0000'0001);
  const Epoch other(0xabcd'd000'0000'0001);
  EXPECT_FALSE(epoch.Gave(other.NumberOf(1)));
  EXPECT_FALSE(epoch.Gave(1));
  EXPECT_FALSE(epoch.Gave(UINT64_MAX));
}

TEST(EpochTest, IsDrawnAnew) { EXPECT_NE(Epoch::Random().value(), Epoch::Random().value()); }

}  // namespace
}  // namespace faultline::server
