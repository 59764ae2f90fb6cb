// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/strong_int.h: what may be done with a strong integer, and what may not.

#include "core/base/strong_int.h"

#include <cstdint>
#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

namespace faultline {
namespace {

using Apples = StrongInt<struct ApplesTag, std::uint64_t>;
using Pears = StrongInt<struct PearsTag, std::uint64_t>;
using Byte = StrongInt<struct ByteTag, std::uint8_t>;

template <class A, class B>
concept Addable = requires(A a, B b) { a + b; };
template <class A, class B>
concept Comparable = requires(A a, B b) { a == b; };

static_assert(!std::is_convertible_v<std::uint64_t, Apples>);
static_assert(!std::is_convertible_v<Apples, std::uint64_t>);
static_assert(!std::is_constructible_v<Apples, Pears>);
static_assert(!Comparable<Apples, Pears> && !Comparable<Apples, std::uint64_t>);
static_assert(!Addable<Apples, Apples> && Addable<Apples, std::uint64_t>);
static_assert(std::is_same_v<decltype(Apples(3) - Apples(1)), std::uint64_t>);
static_assert(sizeof(Byte) == 1 && std::is_trivially_copyable_v<Byte>);

TEST(StrongIntTest, StartsAtZero) { EXPECT_EQ(Apples().value(), 0U); }

TEST(StrongIntTest, MovesByADistanceAndMeasuresIt) {
  const Apples five(5);
  EXPECT_EQ(five + 2, Apples(7));
  EXPECT_EQ(five - 2, Apples(3));
  EXPECT_EQ(five - Apples(3), 2U);
}

TEST(StrongIntTest, StepsBeforeAndAfter) {
  Apples a(5);
  EXPECT_EQ(a++, Apples(5));
  EXPECT_EQ(++a, Apples(7));
  EXPECT_EQ(a--, Apples(7));
  EXPECT_EQ(--a, Apples(5));
}

TEST(StrongIntTest, OrdersByValue) {
  EXPECT_LT(Apples(1), Apples(2));
  EXPECT_GE(Apples(2), Apples(2));
}

TEST(StrongIntTest, WrapsAsItsRepresentationDoes) {
  EXPECT_EQ(Byte(255) + 1, Byte(0));
  EXPECT_EQ(Byte(1) - Byte(2), 255);
  EXPECT_EQ(Byte::Max().value(), 255);
}

TEST(StrongIntTest, IsAHashKey) {
  const std::unordered_set<Apples> set = {Apples(1), Apples(2), Apples(1)};
  EXPECT_EQ(set.size(), 2U);
  EXPECT_TRUE(set.contains(Apples(2)));
}

}  // namespace
}  // namespace faultline
