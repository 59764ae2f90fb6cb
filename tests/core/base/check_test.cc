// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/check.h: what a failing check says, whom it asks first, and how it ends.

#include "core/base/check.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <type_traits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/errno.h"
#include "core/base/types.h"
#include "tests/core/base/failing_check.h"

namespace faultline {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CheckTest, PassesSilently) {
  EXPECT_EQ(FailureOf([] { MM_CHECK(1 + 1 == 2); }), "");
}

TEST(CheckTest, SaysWhereAndWhat) {
  const std::string message = FailureOf([] { MM_CHECK(1 + 1 == 3); });
  EXPECT_THAT(message, StartsWith(__FILE__));
  EXPECT_THAT(message, HasSubstr(":" + std::to_string(__LINE__ - 2) + ": "));
  EXPECT_THAT(message, EndsWith("check failed: 1 + 1 == 3"));
}

TEST(CheckTest, TakesConditionsWithCommas) {
  EXPECT_EQ(FailureOf([] { MM_CHECK(std::is_same_v<int, int>); }), "");
}

TEST(CheckTest, PrintsBothIntegers) {
  EXPECT_THAT(FailureOf([] { MM_CHECK_EQ(-2, 7U); }), EndsWith("-2 == 7U: -2 vs 7 (0x7)"));
}

TEST(CheckTest, PrintsStrongTypesByTheirValue) {
  EXPECT_THAT(FailureOf([] { MM_CHECK_LT(VirtAddr(0x2000), VirtAddr(0x1000)); }),
              EndsWith(": 8192 (0x2000) vs 4096 (0x1000)"));
}

TEST(CheckTest, PrintsEnumsByTheirNumber) {
  EXPECT_THAT(FailureOf([] { MM_CHECK_EQ(Errno::kEnomem, Errno::kEinval); }),
              EndsWith(": 12 vs 22"));
}

TEST(CheckTest, PrintsBoolsAsWords) {
  EXPECT_THAT(FailureOf([] { MM_CHECK_EQ(true, false); }), EndsWith(": true vs false"));
}

TEST(CheckTest, PrintsPointersInHexadecimal) {
  const auto* pointer = reinterpret_cast<const int*>(std::uintptr_t{0xabc0});
  EXPECT_THAT(FailureOf([pointer] { MM_CHECK_EQ(pointer, nullptr); }), EndsWith(": 0xabc0 vs 0x0"));
}

TEST(CheckTest, ComparesIntegersByValueAcrossSignedness) {
  EXPECT_EQ(FailureOf([] { MM_CHECK_LT(-1, std::size_t{0}); }), "");
  EXPECT_NE(FailureOf([] { MM_CHECK_EQ(-1, ~std::uint64_t{0}); }), "");
}

TEST(CheckTest, KnowsEveryComparison) {
  EXPECT_EQ(FailureOf([] {
              MM_CHECK_EQ(1, 1);
              MM_CHECK_NE(1, 2);
              MM_CHECK_LT(1, 2);
              MM_CHECK_LE(2, 2);
              MM_CHECK_GT(2, 1);
              MM_CHECK_GE(2, 2);
            }),
            "");
  EXPECT_NE(FailureOf([] { MM_CHECK_EQ(1, 2); }), "");
  EXPECT_NE(FailureOf([] { MM_CHECK_NE(1, 1); }), "");
  EXPECT_NE(FailureOf([] { MM_CHECK_LT(1, 1); }), "");
  EXPECT_NE(FailureOf([] { MM_CHECK_LE(2, 1); }), "");
  EXPECT_NE(FailureOf([] { MM_CHECK_GT(1, 1); }), "");
  EXPECT_NE(FailureOf([] { MM_CHECK_GE(1, 2); }), "");
}

TEST(CheckTest, EvaluatesItsArgumentsOnce) {
  int count = 0;
  const auto next = [&count] { return ++count; };
  MM_CHECK(next() == 1);
  MM_CHECK_EQ(next(), 2);
  EXPECT_EQ(count, 2);
}

TEST(CheckTest, CutsAMessageThatIsTooLong) {
  const std::string reason(5000, 'x');
  const std::string message = FailureOf([&reason] { MM_UNREACHABLE(reason.c_str()); });
  EXPECT_THAT(message, HasSubstr("unreachable: xxx"));
  EXPECT_LT(message.size(), reason.size());
}

constexpr int HalfOfEven(int n) {
  MM_CHECK_EQ(n % 2, 0);
  return n / 2;
}

TEST(CheckTest, IsUsableInConstantExpressions) {
  static_assert(HalfOfEven(8) == 4);
  EXPECT_NE(FailureOf([] { EXPECT_EQ(HalfOfEven(3), 1); }), "");
}

TEST(DcheckTest, RunsOnlyWhereDebugChecksDo) {
  int evaluated = 0;
  const auto next = [&evaluated] { return ++evaluated; };
  MM_DCHECK(next() > 0);
  MM_DCHECK_GT(next(), 0);
  EXPECT_EQ(evaluated, kDebugChecks ? 2 : 0);
  EXPECT_NE(FailureOf([] { MM_DCHECK(false); }).empty(), kDebugChecks);
}

TEST(DcheckTest, AlwaysRunsInTheModelledBuild) { EXPECT_TRUE(kDebugChecks || !kModelled); }

TEST(CheckHandlerTest, IsReturnedByTheNextInstallation) {
  const CheckHandler handler = [](const char*) {};
  const CheckHandler before = SetCheckHandler(handler);
  EXPECT_EQ(SetCheckHandler(before), handler);
}

TEST(CheckDeathTest, PrintsAndAbortsWithoutAHandler) {
  EXPECT_DEATH(MM_CHECK_EQ(1, 2), "check failed: 1 == 2: 1 vs 2");
}

TEST(CheckDeathTest, AbortsWhenTheHandlerReturns) {
  EXPECT_DEATH(
      {
        SetCheckHandler([](const char*) { std::fputs("handler first, ", stderr); });
        MM_UNREACHABLE("no such rung");
      },
      "handler first, .*unreachable: no such rung");
}

}  // namespace
}  // namespace faultline
