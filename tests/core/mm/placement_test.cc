// SPDX-License-Identifier: Apache-2.0
//
// Where mmap puts what has no fixed place (Linux: x86-64, mm/mmap.c and thp_get_unmapped_area).

#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint64_t kAnon = kMapPrivate | kMapAnonymous;

/// The base is no multiple of 2 MiB.
class PlacementTest : public MmTest {
 protected:
  explicit PlacementTest(const MmOptions& options = {})
      : MmTest(options), base_(options.mmap_base) {}
  VirtAddr Placed(uint64_t length, VirtAddr hint = VirtAddr(0), uint64_t flags = kAnon) {
    return *mm().Mmap({.addr = hint, .length = length, .prot = kRw, .flags = flags});
  }
  const VirtAddr base_;
};

TEST_F(PlacementTest, GoesTopDownAndMerges) {
  EXPECT_EQ(Placed(Pages(1)), base_ - Pages(1));
  EXPECT_EQ(Placed(Pages(2)), base_ - Pages(3));
  EXPECT_EQ(mm().map_count(), 1u);
}

TEST_F(PlacementTest, TakesTheHighestGapThatFits) {
  const VirtAddr first = Placed(Pages(10));
  ASSERT_EQ(Why(mm().Munmap(first + Pages(2), Pages(2))), "ok");
  ASSERT_EQ(Why(mm().Munmap(first + Pages(6), Pages(3))), "ok");
  EXPECT_EQ(Placed(Pages(2)), first + Pages(7));
  EXPECT_EQ(Placed(Pages(2)), first + Pages(2));
}

TEST_F(PlacementTest, AlignsTo2MibExactlyIfTheLengthIsAMultiple) {
  EXPECT_TRUE((Placed(kPmdSize).value() & (kPmdSize - 1)) == 0);
  const VirtAddr odd = Placed(kPmdSize + Pages(1));
  EXPECT_FALSE((odd.value() & (kPmdSize - 1)) == 0);
  EXPECT_TRUE((Placed(2 * kPmdSize, VirtAddr(0), kAnon | kMapStack).value() & (kPmdSize - 1)) == 0);
  EXPECT_FALSE((Placed(Pages(510)).value() & (kPmdSize - 1)) == 0);
}

TEST_F(PlacementTest, TakesAHintIfItsPlaceIsFree) {
  EXPECT_EQ(Placed(Pages(2), At(3) + 5), At(3));  // rounded down
  EXPECT_NE(Placed(Pages(2), At(4)), At(4));
  EXPECT_NE(Placed(Pages(2), At(2)), At(2));  // its end is taken
}

TEST_F(PlacementTest, RaisesALowHintToTheMinimum) {
  EXPECT_EQ(Placed(Pages(1), VirtAddr(4096)), VirtAddr(65536));
}

TEST_F(PlacementTest, KeepsTheGapBelowAStack) {
  Map(1000, 2, kRw, kAnonFixed | kMapGrowsDown);
  EXPECT_EQ(Placed(Pages(1), At(1000 - 257)), At(1000 - 257));
  EXPECT_NE(Placed(Pages(1), At(1000 - 256)), At(1000 - 256));
}

TEST_F(PlacementTest, ThirtyTwoBitsMeansBetweenOneAndTwoGib) {
  EXPECT_EQ(Placed(Pages(1), VirtAddr(0), kAnon | kMap32Bit), VirtAddr(0x4000'0000));
  EXPECT_EQ(Placed(Pages(1), VirtAddr(0), kAnon | kMap32Bit), VirtAddr(0x4000'1000));
}

TEST_F(PlacementTest, GoesBottomUpIfBelowTheBaseIsNothing) {
  // From a third of the space on, when the space below the base is full.
  ASSERT_EQ(Why(mm().Mmap({.addr = VirtAddr(65536),
                           .length = base_.value() - 65536,
                           .prot = kNone,
                           .flags = kAnonFixed | kMapNoReserve})),
            "ok");
  EXPECT_EQ(Placed(Pages(1)), base_);
}

class FiveLevelTest : public PlacementTest {
 protected:
  static MmOptions FiveLevels() {
    MmOptions options;
    options.page_table_levels = 5;
    return options;
  }
  FiveLevelTest() : PlacementTest(FiveLevels()) {}
};

TEST_F(FiveLevelTest, StaysBelow47BitsUnlessAHintAsksForMore) {
  EXPECT_EQ(Placed(Pages(1)), base_ - Pages(1));
  const VirtAddr high(1ull << 50);
  EXPECT_EQ(Placed(Pages(4), high), high);
  const VirtAddr higher = Placed(Pages(4), high + Pages(1));  // taken: anywhere up there
  EXPECT_GT(higher.value(), 1ull << 47);
  EXPECT_EQ(Why(mm().Write(high + Pages(3), 5)), "ok");
  EXPECT_EQ(WordAt(mm(), high + Pages(3)), 5u);
  Mm& child = world().Fork(mm());
  EXPECT_EQ(WordAt(child, high + Pages(3)), 5u);
}

TEST_F(FiveLevelTest, HasTablesOfFiveLevels) {
  Map(0, 1);
  Fill(0, 1, 1);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kTables), 5);
  EXPECT_EQ(Why(mm().Munmap(At(0), Pages(1))), "ok");
  EXPECT_EQ(mm().counters().Sum(MmCounter::kTables), 1);
}

}  // namespace
}  // namespace faultline
