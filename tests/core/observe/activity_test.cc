// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/observe/activity.h: scopes, nesting, and names.

#include "core/observe/activity.h"

#include <gtest/gtest.h>

#include "tests/core/observe/names.h"

namespace faultline {
namespace {

Activity Current() { return ActivityOf(CurrentTask().activity()); }

TEST(ActivityTest, ScopeSetsTheActivityAndRestoresTheFormerOne) {
  EXPECT_EQ(Current(), Activity::kNone);
  {
    const ActivityScope outer(Activity::kMunmap);
    EXPECT_EQ(Current(), Activity::kMunmap);
    {
      const ActivityScope inner(Activity::kFault);
      EXPECT_EQ(Current(), Activity::kFault);
    }
    EXPECT_EQ(Current(), Activity::kMunmap);
  }
  EXPECT_EQ(Current(), Activity::kNone);
}

TEST(ActivityTest, UnknownTagIsOther) {
  EXPECT_EQ(ActivityOf(static_cast<uint16_t>(Activity::kFork)), Activity::kFork);
  EXPECT_EQ(ActivityOf(static_cast<uint16_t>(Activity::kCount)), Activity::kOther);
  EXPECT_EQ(ActivityOf(UINT16_MAX), Activity::kOther);
}

TEST(ActivityTest, NamesAreDistinctSnakeCase) { ExpectSnakeCaseNames<Activity>(); }

}  // namespace
}  // namespace faultline
