// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/arena.h: runs repeat, memory starts at zero, and limits are errors.

#include "core/base/arena.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/base/failing_check.h"

namespace faultline {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

Arena MakeArena(std::size_t capacity = 64 * kMiB) { return *Arena::Create(capacity); }

bool ReadsAsZero(const void* memory, std::size_t size) {
  const std::span bytes(static_cast<const std::byte*>(memory), size);
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

std::vector<std::size_t> OffsetsOfARun(Arena& arena) {
  std::vector<std::size_t> offsets;
  for (const std::size_t size : {1, 100, 8, 4096, 64, 3}) {
    offsets.push_back(arena.OffsetOf(*arena.Allocate(size, 16)));
  }
  return offsets;
}

TEST(ArenaTest, HandsOutDisjointAlignedZeroedChunks) {
  Arena arena = MakeArena();
  std::size_t end_of_last = 0;
  for (std::size_t align = 1; align <= Arena::kMaxAlign; align *= 2) {
    void* chunk = *arena.Allocate(/*size=*/33, align);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(chunk) % align, 0U);
    EXPECT_TRUE(ReadsAsZero(chunk, 33));
    EXPECT_GE(arena.OffsetOf(chunk), end_of_last);
    std::memset(chunk, 0xff, 33);
    end_of_last = arena.OffsetOf(chunk) + 33;
  }
  EXPECT_EQ(arena.used(), end_of_last);
}

TEST(ArenaTest, IsFullAtItsCapacityAndNotBefore) {
  Arena arena = MakeArena(kPageSize);
  EXPECT_EQ(arena.capacity(), kPageSize);
  EXPECT_TRUE(arena.Allocate(kPageSize - 1, 1).ok());
  EXPECT_EQ(arena.Allocate(2, 1).error(), Errno::kEnomem);
  EXPECT_EQ(arena.Allocate(1, 64).error(), Errno::kEnomem);
  EXPECT_EQ(arena.Allocate(~std::size_t{0}, 1).error(), Errno::kEnomem);
  EXPECT_TRUE(arena.Allocate(1, 1).ok());
  EXPECT_EQ(arena.used(), kPageSize);
}

TEST(ArenaTest, BadRequestFailsACheck) {
  Arena arena = MakeArena();
  EXPECT_NE(FailureOf([&] { static_cast<void>(arena.Allocate(8, 3)); }), "");
  EXPECT_NE(FailureOf([&] { static_cast<void>(arena.Allocate(8, 0)); }), "");
  EXPECT_NE(FailureOf([&] { static_cast<void>(arena.Allocate(8, 2 * Arena::kMaxAlign)); }), "");
  EXPECT_NE(FailureOf([&] { static_cast<void>(arena.Allocate(0, 8)); }), "");
}

TEST(ArenaTest, KnowsItsOwnMemory) {
  Arena arena = MakeArena(kPageSize);
  auto* base = static_cast<std::byte*>(*arena.Allocate(8, 8));
  const int elsewhere = 0;
  EXPECT_TRUE(arena.Contains(base));
  EXPECT_TRUE(arena.Contains(base + kPageSize - 1));
  EXPECT_FALSE(arena.Contains(base + kPageSize));
  EXPECT_FALSE(arena.Contains(&elsewhere));
  EXPECT_NE(FailureOf([&] { static_cast<void>(arena.OffsetOf(&elsewhere)); }), "");
}

TEST(ArenaTest, SameRequestsGetTheSameOffsetsInEveryArena) {
  Arena first = MakeArena();
  Arena second = MakeArena(2 * kMiB);
  EXPECT_EQ(OffsetsOfARun(first), OffsetsOfARun(second));
}

TEST(ArenaTest, TakesAFreeHintAndIgnoresATakenOne) {
  std::uintptr_t base = 0;
  {
    Arena probe = MakeArena();
    base = reinterpret_cast<std::uintptr_t>(*probe.Allocate(1, 1));
  }
  Arena hinted = *Arena::Create(64 * kMiB, base);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(*hinted.Allocate(1, 1)), base);
  Arena other = *Arena::Create(64 * kMiB, base);
  EXPECT_NE(reinterpret_cast<std::uintptr_t>(*other.Allocate(1, 1)), base);
}

TEST(ArenaTest, ReservesFarMoreThanItTouches) {
  // 1 TiB; but ThreadSanitizer leaves the program little more than that in all.
  constexpr std::size_t kCapacity = std::size_t{1} << (kTsan ? 36 : 40);
  Result<Arena> arena = Arena::Create(kCapacity);
  ASSERT_TRUE(arena.ok());
  EXPECT_TRUE(ReadsAsZero(*arena->Allocate(kMiB, kPageSize), kMiB));
}

TEST(ArenaTest, ImpossibleReservationIsAnError) {
  EXPECT_EQ(Arena::Create(~std::size_t{0}).error(), Errno::kEnomem);
  EXPECT_EQ(Arena::Create(std::size_t{1} << 60).error(), Errno::kEnomem);
}

TEST(ArenaTest, MovesWithItsMemory) {
  Arena arena = MakeArena();
  void* chunk = *arena.Allocate(8, 8);
  const Arena moved = std::move(arena);
  EXPECT_TRUE(moved.Contains(chunk));
  EXPECT_EQ(moved.used(), 8U);
}

// Reset clears by hand below one size and gives pages back above it.
class ArenaResetTest : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(SmallAndLarge, ArenaResetTest, ::testing::Values(100, kMiB, 3 * kMiB + 5));

TEST_P(ArenaResetTest, NextRunSeesTheSameAddressesAndZeroes) {
  Arena arena = MakeArena();
  void* first = *arena.Allocate(GetParam(), 64);
  std::memset(first, 0xff, GetParam());
  arena.Reset();
  EXPECT_EQ(arena.used(), 0U);
  void* again = *arena.Allocate(GetParam(), 64);
  EXPECT_EQ(again, first);
  EXPECT_TRUE(ReadsAsZero(again, GetParam()));
}

}  // namespace
}  // namespace faultline
