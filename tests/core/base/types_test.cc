// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/types.h: alignment at the edges of 64 bits, and VirtRange as a set of
// addresses.

#include "core/base/types.h"

#include <cstdint>
#include <optional>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/core/base/failing_check.h"

namespace faultline {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

VirtRange Range(std::uint64_t start, std::uint64_t end) { return {VirtAddr(start), VirtAddr(end)}; }

TEST(PageAlignTest, RoundsDownToTheStartOfThePage) {
  EXPECT_EQ(PageAlignDown(VirtAddr(0x1fff)), VirtAddr(0x1000));
  EXPECT_EQ(PageAlignDown(VirtAddr(0x1000)), VirtAddr(0x1000));
}

TEST(PageAlignTest, RoundsUpToTheNextStartOfAPage) {
  EXPECT_EQ(PageAlignUp(VirtAddr(0x1001)), VirtAddr(0x2000));
  EXPECT_EQ(PageAlignUp(VirtAddr(0x1000)), VirtAddr(0x1000));
  EXPECT_EQ(PageAlignUp(std::uint64_t{0}), 0U);
}

TEST(PageAlignTest, RoundingUpReportsOverflow) {
  EXPECT_EQ(PageAlignUp(kMax - kPageSize + 1), kMax - kPageSize + 1);
  EXPECT_EQ(PageAlignUp(kMax - kPageSize + 2), std::nullopt);
  EXPECT_EQ(PageAlignUp(VirtAddr::Max()), std::nullopt);
}

TEST(PageAlignTest, KnowsAlignedAddresses) {
  EXPECT_TRUE(IsPageAligned(VirtAddr(0x3000)));
  EXPECT_FALSE(IsPageAligned(VirtAddr(0x3001)));
}

TEST(VirtPageTest, ConvertsToAndFromAddresses) {
  EXPECT_EQ(PageOf(VirtAddr(0x5fff)), VirtPage(5));
  EXPECT_EQ(AddrOf(VirtPage(5)), VirtAddr(0x5000));
  EXPECT_EQ(AddrOf(PageOf(VirtAddr::Max())), PageAlignDown(VirtAddr::Max()));
}

TEST(VirtPageTest, AddressOfAPageBeyondTheSpaceFailsACheck) {
  const auto address = [] { static_cast<void>(AddrOf(VirtPage(std::uint64_t{1} << 52))); };
  EXPECT_NE(FailureOf(address).empty(), kDebugChecks);
}

TEST(VirtRangeTest, IsHalfOpen) {
  const VirtRange range = Range(0x1000, 0x3000);
  EXPECT_TRUE(range.Contains(VirtAddr(0x1000)));
  EXPECT_TRUE(range.Contains(VirtAddr(0x2fff)));
  EXPECT_FALSE(range.Contains(VirtAddr(0x3000)));
  EXPECT_EQ(range.bytes(), 0x2000U);
  EXPECT_EQ(range.pages(), 2U);
}

TEST(VirtRangeTest, EndBeforeStartFailsACheck) {
  EXPECT_NE(FailureOf([] { static_cast<void>(Range(2, 1)); }), "");
}

TEST(VirtRangeTest, FromLengthRefusesToWrap) {
  EXPECT_EQ(VirtRange::FromLength(VirtAddr(0x1000), 0x2000), Range(0x1000, 0x3000));
  EXPECT_EQ(VirtRange::FromLength(VirtAddr(kMax - 1), 1), Range(kMax - 1, kMax));
  EXPECT_EQ(VirtRange::FromLength(VirtAddr(kMax - 1), 2), std::nullopt);
  EXPECT_EQ(VirtRange::FromLength(VirtAddr(0x1000), kMax), std::nullopt);
}

TEST(VirtRangeTest, EmptyRangeOverlapsNothing) {
  EXPECT_TRUE(VirtRange().empty());
  EXPECT_FALSE(Range(0, 10).Overlaps(Range(5, 5)));
  EXPECT_FALSE(Range(5, 5).Overlaps(Range(5, 5)));
}

TEST(VirtRangeTest, NeighboursDoNotOverlap) {
  EXPECT_FALSE(Range(0, 5).Overlaps(Range(5, 10)));
  EXPECT_TRUE(Range(0, 6).Overlaps(Range(5, 10)));
}

TEST(VirtRangeTest, EmptyRangeIsContainedWhereItTouches) {
  EXPECT_TRUE(Range(0, 10).Contains(Range(10, 10)));
  EXPECT_FALSE(Range(0, 10).Contains(Range(11, 11)));
}

// Ranges within [0, 16], small enough to compare with the set of their addresses.
VirtRange SmallRange() {
  const auto start = *rc::gen::inRange<std::uint64_t>(0, 16);
  return Range(start, *rc::gen::inRange<std::uint64_t>(start, 17));
}

RC_GTEST_PROP(VirtRangePropertyTest, AgreesWithTheSetOfItsAddresses, ()) {
  const VirtRange a = SmallRange();
  const VirtRange b = SmallRange();
  std::uint64_t in_a = 0;
  std::uint64_t in_both = 0;
  std::uint64_t in_b = 0;
  for (VirtAddr addr; addr < VirtAddr(20); ++addr) {
    const bool both = a.Contains(addr) && b.Contains(addr);
    RC_ASSERT(a.Intersect(b).Contains(addr) == both);
    in_a += a.Contains(addr) ? 1 : 0;
    in_b += b.Contains(addr) ? 1 : 0;
    in_both += both ? 1 : 0;
  }
  RC_ASSERT(a.bytes() == in_a);
  RC_ASSERT(a.empty() == (in_a == 0));
  RC_ASSERT(a.Overlaps(b) == (in_both != 0));
  RC_ASSERT(b.Overlaps(a) == a.Overlaps(b));
  RC_ASSERT(a.Intersect(b).bytes() == in_both);
  if (!b.empty()) RC_ASSERT(a.Contains(b) == (in_both == in_b));
}

RC_GTEST_PROP(VirtRangePropertyTest, FromLengthIsExactOrNone,
              (std::uint64_t start, std::uint64_t length)) {
  const std::optional<VirtRange> range = VirtRange::FromLength(VirtAddr(start), length);
  const bool fits = start + length >= start;
  RC_ASSERT(range.has_value() == fits);
  if (fits) RC_ASSERT(range->start() == VirtAddr(start) && range->bytes() == length);
}

}  // namespace
}  // namespace faultline
