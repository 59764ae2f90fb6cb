// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/atomic.h in both builds: every operation, and that an Atomic<T> is laid out as
// its T (its cache line is its address).

#include "core/sync/atomic.h"

#include <cstdint>
#include <limits>
#include <type_traits>

#include <gtest/gtest.h>

#include "core/base/types.h"

namespace faultline {
namespace {

enum class Colour : uint8_t { kRed, kGreen };
struct Pair {
  uint32_t low;
  uint32_t high;
  bool operator==(const Pair&) const = default;
};

template <class T>
constexpr bool kLaidOutAsItsT =
    sizeof(Atomic<T>) == sizeof(T) && alignof(Atomic<T>) >= alignof(T) &&
    alignof(Atomic<T>) <= sizeof(T) && std::is_standard_layout_v<Atomic<T>>;

static_assert(kLaidOutAsItsT<bool>);
static_assert(kLaidOutAsItsT<char>);
static_assert(kLaidOutAsItsT<int8_t> && kLaidOutAsItsT<uint16_t> && kLaidOutAsItsT<int32_t>);
static_assert(kLaidOutAsItsT<uint64_t>);
static_assert(kLaidOutAsItsT<Colour>);
static_assert(kLaidOutAsItsT<Colour*>);
static_assert(kLaidOutAsItsT<VirtAddr> && kLaidOutAsItsT<TaskId>);
static_assert(kLaidOutAsItsT<Pair>);
static_assert(!std::is_copy_constructible_v<Atomic<int>> &&
              !std::is_copy_assignable_v<Atomic<int>>);

template <class T>
struct Values;
template <>
struct Values<bool> {
  static constexpr bool kOne = false, kTwo = true;
};
template <>
struct Values<int8_t> {
  static constexpr int8_t kOne = -1, kTwo = 127;
};
template <>
struct Values<uint64_t> {
  static constexpr uint64_t kOne = 1, kTwo = ~uint64_t{0};
};
template <>
struct Values<Colour> {
  static constexpr Colour kOne = Colour::kRed, kTwo = Colour::kGreen;
};
template <>
struct Values<const char*> {
  static constexpr const char* kOne = "one";
  static constexpr const char* kTwo = nullptr;
};
template <>
struct Values<VirtAddr> {
  static constexpr VirtAddr kOne{4096}, kTwo{~uint64_t{0}};
};
template <>
struct Values<Pair> {
  static constexpr Pair kOne{1, 2}, kTwo{3, 4};
};

template <class T>
class AtomicTest : public ::testing::Test {};
using AnyTypes = ::testing::Types<bool, int8_t, uint64_t, Colour, const char*, VirtAddr, Pair>;
TYPED_TEST_SUITE(AtomicTest, AnyTypes);

TYPED_TEST(AtomicTest, StartsAtItsTsDefault) {
  const Atomic<TypeParam> atomic;
  EXPECT_EQ(atomic.Load(kRelaxed), TypeParam{});
}

TYPED_TEST(AtomicTest, LoadsWhatWasStored) {
  Atomic<TypeParam> atomic(Values<TypeParam>::kOne);
  EXPECT_EQ(atomic.Load(kAcquire), Values<TypeParam>::kOne);
  atomic.Store(Values<TypeParam>::kTwo, kRelease);
  EXPECT_EQ(atomic.Load(kSeqCst), Values<TypeParam>::kTwo);
  EXPECT_EQ(atomic.Peek(), Values<TypeParam>::kTwo);
}

TYPED_TEST(AtomicTest, ExchangeReturnsTheValueBefore) {
  Atomic<TypeParam> atomic(Values<TypeParam>::kOne);
  EXPECT_EQ(atomic.Exchange(Values<TypeParam>::kTwo, kAcqRel), Values<TypeParam>::kOne);
  EXPECT_EQ(atomic.Peek(), Values<TypeParam>::kTwo);
}

TYPED_TEST(AtomicTest, CompareExchangeReplacesOnlyTheExpectedValue) {
  Atomic<TypeParam> atomic(Values<TypeParam>::kOne);
  TypeParam expected = Values<TypeParam>::kTwo;
  EXPECT_FALSE(atomic.CompareExchange(expected, Values<TypeParam>::kTwo, kAcqRel, kAcquire));
  EXPECT_EQ(expected, Values<TypeParam>::kOne);  // the value found
  EXPECT_EQ(atomic.Peek(), Values<TypeParam>::kOne);
  EXPECT_TRUE(atomic.CompareExchange(expected, Values<TypeParam>::kTwo, kAcqRel, kAcquire));
  EXPECT_EQ(atomic.Peek(), Values<TypeParam>::kTwo);
}

template <class T>
class AtomicIntegerTest : public ::testing::Test {};
using IntegerTypes =
    ::testing::Types<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
TYPED_TEST_SUITE(AtomicIntegerTest, IntegerTypes);

TYPED_TEST(AtomicIntegerTest, FetchOpsReturnTheValueBefore) {
  Atomic<TypeParam> atomic(TypeParam{40});
  EXPECT_EQ(atomic.FetchAdd(TypeParam{5}, kRelaxed), TypeParam{40});
  EXPECT_EQ(atomic.FetchSub(TypeParam{3}, kRelaxed), TypeParam{45});
  EXPECT_EQ(atomic.FetchOr(TypeParam{5}, kAcquire), TypeParam{42});
  EXPECT_EQ(atomic.FetchAnd(TypeParam{7}, kRelease), TypeParam{47});
  EXPECT_EQ(atomic.Peek(), TypeParam{7});
}

TYPED_TEST(AtomicIntegerTest, ArithmeticWrapsAround) {
  Atomic<TypeParam> atomic(std::numeric_limits<TypeParam>::max());
  atomic.FetchAdd(TypeParam{1}, kRelaxed);
  EXPECT_EQ(atomic.Peek(), std::numeric_limits<TypeParam>::min());
  atomic.FetchSub(TypeParam{1}, kRelaxed);
  EXPECT_EQ(atomic.Peek(), std::numeric_limits<TypeParam>::max());
}

// Arithmetic is for integers: nothing else offers it.
template <class T>
concept HasFetchAdd = requires(Atomic<T>& atomic, T value) { atomic.FetchAdd(value, kRelaxed); };
static_assert(HasFetchAdd<uint32_t>);
static_assert(!HasFetchAdd<bool> && !HasFetchAdd<Colour> && !HasFetchAdd<VirtAddr>);

}  // namespace
}  // namespace faultline
