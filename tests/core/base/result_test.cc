// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/result.h: what a Result holds, how it is passed on, and what it costs.

#include "core/base/result.h"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "core/base/types.h"
#include "tests/core/base/failing_check.h"

namespace faultline {
namespace {

static_assert(std::is_trivially_copyable_v<Result<VirtAddr>>);
static_assert(sizeof(Result<VirtAddr>) == 16, "must fit two registers");
static_assert(sizeof(Result<int>) == 8);
static_assert(sizeof(Result<void>) == sizeof(int));
static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
static_assert(Result<int>(5).value() == 5 && Result<int>(Errno::kEio).error() == Errno::kEio);

Result<int> Positive(int n) {
  if (n <= 0) return Errno::kErange;
  return n;
}

Result<std::unique_ptr<int>> Boxed(int n) {
  MM_ASSIGN_OR_RETURN(const int checked, Positive(n));
  return std::make_unique<int>(checked);
}

Result<void> BothPositive(int a, int b) {
  MM_TRY(Positive(a));
  MM_TRY(Positive(b));
  return Ok();
}

TEST(ResultTest, HoldsAValueOrAnError) {
  const Result<int> good = Positive(3);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 3);
  const Result<int> bad = Positive(-3);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error(), Errno::kErange);
}

TEST(ResultTest, ReachesMembersOfTheValue) {
  Result<std::string> text = "abc";
  EXPECT_EQ(text->size(), 3U);
  text->push_back('d');
  EXPECT_EQ(*text, "abcd");
}

TEST(ResultTest, FallsBackOnlyWithoutAValue) {
  EXPECT_EQ(Positive(3).value_or(9), 3);
  EXPECT_EQ(Positive(0).value_or(9), 9);
}

TEST(ResultTest, MovesAMoveOnlyValueOut) {
  Result<std::unique_ptr<int>> result = Boxed(7);
  ASSERT_TRUE(result.ok());
  const std::unique_ptr<int> box = *std::move(result);
  EXPECT_EQ(*box, 7);
}

TEST(ResultTest, ComparesByContent) {
  EXPECT_EQ(Positive(3), Positive(3));
  EXPECT_NE(Positive(3), Positive(4));
  EXPECT_EQ(Positive(0), Positive(-1));
  EXPECT_NE(Positive(3), Result<int>(Errno::kErange));
  EXPECT_EQ(Result<std::string>(Errno::kEio), Result<std::string>(Errno::kEio));
  EXPECT_NE(Result<std::string>("a"), Result<std::string>(Errno::kEio));
}

TEST(ResultTest, WrongAccessFailsACheck) {
  EXPECT_NE(FailureOf([] { static_cast<void>(Positive(0).value()); }), "");
  EXPECT_NE(FailureOf([] { static_cast<void>(Positive(1).error()); }), "");
  EXPECT_NE(FailureOf([] { static_cast<void>(Boxed(0)->get()); }), "");
  EXPECT_NE(FailureOf([] { static_cast<void>(Boxed(1).error()); }), "");
}

TEST(ResultVoidTest, SucceedsByDefault) {
  EXPECT_TRUE(Result<void>().ok());
  EXPECT_EQ(Ok(), Result<void>());
  EXPECT_EQ(Result<void>(Errno::kEbusy).error(), Errno::kEbusy);
}

TEST(ResultVoidTest, WrongAccessFailsACheck) {
  EXPECT_EQ(FailureOf([] { Ok().value(); }), "");
  EXPECT_NE(FailureOf([] { Result<void>(Errno::kEbusy).value(); }), "");
  EXPECT_NE(FailureOf([] { static_cast<void>(Ok().error()); }), "");
}

TEST(ResultTryTest, PassesTheFirstErrorOn) {
  EXPECT_TRUE(BothPositive(1, 2).ok());
  EXPECT_EQ(BothPositive(0, 2).error(), Errno::kErange);
  EXPECT_EQ(BothPositive(1, 0).error(), Errno::kErange);
}

TEST(ResultTryTest, AssignsTheValue) {
  EXPECT_EQ(**Boxed(5), 5);
  EXPECT_EQ(Boxed(0).error(), Errno::kErange);
}

}  // namespace
}  // namespace faultline
