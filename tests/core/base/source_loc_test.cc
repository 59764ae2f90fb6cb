// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/source_loc.h: the caller's line in checked builds, nothing in the native
// release build.

#include "core/base/source_loc.h"

#include <string_view>
#include <type_traits>

#include <gtest/gtest.h>

namespace faultline {
namespace {

static_assert(kKeepsSourceLoc ? sizeof(SourceLoc) <= 16 : std::is_empty_v<SourceLoc>);

SourceLoc Here(SourceLoc loc = SourceLoc::Current()) { return loc; }

TEST(SourceLocTest, NamesTheCallOfTheFunctionThatTakesIt) {
  const SourceLoc loc = Here();
  EXPECT_EQ(loc.line(), kKeepsSourceLoc ? __LINE__ - 1 : 0U);
  EXPECT_EQ(std::string_view(loc.file()), kKeepsSourceLoc ? __FILE__ : "");
  EXPECT_EQ(std::string_view(loc.function()).empty(), !kKeepsSourceLoc);
}

TEST(SourceLocTest, IsUnknownByDefault) {
  EXPECT_EQ(SourceLoc().line(), 0U);
  EXPECT_EQ(std::string_view(SourceLoc().file()), "");
}

}  // namespace
}  // namespace faultline
