// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/errno.h: numbers and names are those of Linux, both ways.

#include "core/base/errno.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(ErrnoTest, HasLinuxNumbers) {
  EXPECT_EQ(static_cast<int>(Errno::kEnomem), ENOMEM);
  EXPECT_EQ(static_cast<int>(Errno::kEhwpoison), EHWPOISON);
}

TEST(ErrnoTest, NameAndNumberLeadToEachOther){
#define EXPECT_ROUND_TRIP(enumerator, name, number) \
  EXPECT_EQ(Name(Errno::enumerator), #name);        \
  EXPECT_EQ(ErrnoFromName(#name), Errno::enumerator);
    FAULTLINE_ERRNO_TABLE(EXPECT_ROUND_TRIP)
#undef EXPECT_ROUND_TRIP
}

TEST(ErrnoTest, UnknownNameIsNone) {
  EXPECT_EQ(ErrnoFromName("EWHATEVER"), std::nullopt);
  EXPECT_EQ(ErrnoFromName("enomem"), std::nullopt);
  EXPECT_EQ(ErrnoFromName(""), std::nullopt);
}

TEST(ErrnoTest, UnknownNumberHasAPlaceholderName) {
  EXPECT_EQ(Name(static_cast<Errno>(4711)), "E?");
}

}  // namespace
}  // namespace faultline
