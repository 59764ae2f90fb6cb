// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/owned.h: one owner, a deleter with state, nothing left after handing on.

#include "core/base/owned.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace faultline {
namespace {

// Returns things to the pool that it remembers.
struct ReturnTo {
  std::vector<int*>* pool = nullptr;
  void operator()(int* thing) const noexcept { pool->push_back(thing); }
};

TEST(OwnedTest, GivesBackOnceWhenTheLastOwnerGoes) {
  std::vector<int*> pool;
  int thing = 0;
  {
    Owned<int, ReturnTo> first(&thing, ReturnTo{&pool});
    const Owned<int, ReturnTo> second = std::move(first);
    EXPECT_EQ(second.get(), &thing);
    EXPECT_TRUE(pool.empty());
  }
  EXPECT_EQ(pool, std::vector<int*>{&thing});
}

TEST(OwnedTest, ReleasedThingIsNotGivenBack) {
  std::vector<int*> pool;
  int thing = 0;
  {
    Owned<int, ReturnTo> owner(&thing, ReturnTo{&pool});
    EXPECT_EQ(owner.release(), &thing);
  }
  EXPECT_TRUE(pool.empty());
}

}  // namespace
}  // namespace faultline
