// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/base/intrusive_list.h: single operations, misuse, and a random walk beside
// std::list.

#include "core/base/intrusive_list.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <list>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/core/base/failing_check.h"

namespace faultline {
namespace {

using ::testing::ElementsAre;

struct ByAge;
struct BySize;

// An element of two lists at a time.
struct Item : ListNode<ByAge>, ListNode<BySize> {
  explicit Item(int number) : id(number) {}
  int id;
};

using AgeList = IntrusiveList<Item, ByAge>;
using SizeList = IntrusiveList<Item, BySize>;

static_assert(!std::is_copy_constructible_v<Item> && !std::is_move_constructible_v<Item>);
static_assert(std::bidirectional_iterator<AgeList::iterator>);
static_assert(std::bidirectional_iterator<AgeList::const_iterator>);
static_assert(std::is_convertible_v<AgeList::iterator, AgeList::const_iterator>);
static_assert(!std::is_convertible_v<AgeList::const_iterator, AgeList::iterator>);

template <class List>
std::vector<int> Ids(const List& list) {
  std::vector<int> ids;
  for (const Item& item : list) ids.push_back(item.id);
  return ids;
}

template <class List>
void Clear(List& list) {
  while (list.pop_front() != nullptr) {
  }
}

class IntrusiveListTest : public ::testing::Test {
 protected:
  ~IntrusiveListTest() override {
    Clear(list_);
    Clear(other_);
  }

  Item a_{1}, b_{2}, c_{3};
  AgeList list_, other_;
};

TEST_F(IntrusiveListTest, IsEmptyAtFirst) {
  EXPECT_TRUE(list_.empty());
  EXPECT_EQ(list_.front(), nullptr);
  EXPECT_EQ(list_.back(), nullptr);
  EXPECT_EQ(list_.pop_front(), nullptr);
  EXPECT_EQ(list_.pop_back(), nullptr);
  EXPECT_EQ(list_.begin(), list_.end());
}

TEST_F(IntrusiveListTest, KeepsTheOrderOfInsertion) {
  list_.push_back(b_);
  list_.push_front(a_);
  list_.push_back(c_);
  EXPECT_THAT(Ids(list_), ElementsAre(1, 2, 3));
}

TEST_F(IntrusiveListTest, InsertsBeforeAnElement) {
  list_.push_back(a_);
  list_.push_back(c_);
  list_.insert_before(c_, b_);
  EXPECT_THAT(Ids(list_), ElementsAre(1, 2, 3));
}

TEST_F(IntrusiveListTest, ErasesFromTheMiddle) {
  list_.push_back(a_);
  list_.push_back(b_);
  list_.push_back(c_);
  list_.erase(b_);
  EXPECT_THAT(Ids(list_), ElementsAre(1, 3));
  EXPECT_FALSE(b_.ListNode<ByAge>::is_linked());
  EXPECT_TRUE(a_.ListNode<ByAge>::is_linked());
}

TEST_F(IntrusiveListTest, NeighboursEndWithNull) {
  list_.push_back(a_);
  list_.push_back(b_);
  EXPECT_EQ(list_.next(a_), &b_);
  EXPECT_EQ(list_.next(b_), nullptr);
  EXPECT_EQ(list_.prev(b_), &a_);
  EXPECT_EQ(list_.prev(a_), nullptr);
}

TEST_F(IntrusiveListTest, SplicesAtEitherEnd) {
  list_.push_back(a_);
  other_.push_back(b_);
  list_.splice_front(other_);
  EXPECT_TRUE(other_.empty());
  other_.push_back(c_);
  list_.splice_back(other_);
  EXPECT_TRUE(other_.empty());
  EXPECT_THAT(Ids(list_), ElementsAre(2, 1, 3));
  list_.splice_back(other_);
  EXPECT_THAT(Ids(list_), ElementsAre(2, 1, 3));
}

TEST_F(IntrusiveListTest, ElementMayBeOnOneListPerTag) {
  SizeList by_size;
  list_.push_back(a_);
  by_size.push_back(a_);
  list_.erase(a_);
  EXPECT_TRUE(a_.ListNode<BySize>::is_linked());
  EXPECT_EQ(by_size.pop_front(), &a_);
}

TEST_F(IntrusiveListTest, ErasedElementMayComeBack) {
  list_.push_back(a_);
  list_.erase(a_);
  other_.push_back(a_);
  EXPECT_THAT(Ids(other_), ElementsAre(1));
}

TEST_F(IntrusiveListTest, MisuseFailsACheck) {
  if (!kDebugChecks) GTEST_SKIP() << "MM_DCHECK is off in this build";
  list_.push_back(a_);
  EXPECT_NE(FailureOf([this] { list_.push_back(a_); }), "");
  EXPECT_NE(FailureOf([this] { list_.erase(b_); }), "");
  EXPECT_NE(FailureOf([this] { static_cast<void>(list_.next(b_)); }), "");
  EXPECT_NE(FailureOf([this] { list_.splice_back(list_); }), "");
}

TEST(IntrusiveListDeathTest, DyingWhileLinkedFailsACheck) {
  if (!kDebugChecks) GTEST_SKIP() << "MM_DCHECK is off in this build";
  EXPECT_DEATH(
      {
        Item item(1);
        AgeList list;
        list.push_back(item);
      },
      "check failed: empty");
  EXPECT_DEATH(
      {
        AgeList list;
        Item item(1);
        list.push_back(item);
      },
      "check failed: !is_linked");
}

// A list and its model after the same operations. What the operations refer to is chosen by index.
struct Walk {
  AgeList list;
  std::list<Item*> model;

  ~Walk() { Clear(list); }

  void Step(Item& item, Item& anchor) {
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        return PushFront(item);
      case 1:
        return PushBack(item);
      case 2:
        return Insert(anchor, item);
      case 3:
        return Erase(item);
      case 4:
        return Pop(list.pop_front(), /*expected=*/model.empty() ? nullptr : model.front());
      default:
        return Pop(list.pop_back(), /*expected=*/model.empty() ? nullptr : model.back());
    }
  }

  auto Find(Item& item) { return std::ranges::find(model, &item); }

  void PushFront(Item& item) {
    if (Find(item) != model.end()) return;
    list.push_front(item);
    model.push_front(&item);
  }
  void PushBack(Item& item) {
    if (Find(item) != model.end()) return;
    list.push_back(item);
    model.push_back(&item);
  }
  void Insert(Item& anchor, Item& item) {
    if (Find(item) != model.end() || Find(anchor) == model.end()) return;
    list.insert_before(anchor, item);
    model.insert(Find(anchor), &item);
  }
  void Erase(Item& item) {
    if (Find(item) == model.end()) return;
    list.erase(item);
    model.remove(&item);
  }
  void Pop(Item* popped, Item* expected) {
    RC_ASSERT(popped == expected);
    model.remove(popped);
  }

  void Compare() {
    std::vector<Item*> forward;
    std::vector<Item*> backward;
    for (Item& item : list) forward.push_back(&item);
    for (Item* item = list.back(); item != nullptr; item = list.prev(*item)) {
      backward.push_back(item);
    }
    RC_ASSERT(std::ranges::equal(forward, model));
    RC_ASSERT(std::equal(backward.rbegin(), backward.rend(), model.begin(), model.end()));
    RC_ASSERT(list.empty() == model.empty());
  }
};

RC_GTEST_PROP(IntrusiveListPropertyTest, BehavesAsAStandardList, ()) {
  std::array<Item, 6> items = {Item(0), Item(1), Item(2), Item(3), Item(4), Item(5)};
  Walk walks[2];
  const auto steps = *rc::gen::inRange<std::size_t>(0, 60);
  for (std::size_t step = 0; step < steps; ++step) {
    Item& item = items[*rc::gen::inRange<std::size_t>(0, items.size())];
    const auto which = *rc::gen::inRange<std::size_t>(0, 2);
    Walk& walk = walks[which];
    Walk& other = walks[1 - which];
    if (*rc::gen::inRange(0, 8) == 0) {
      walk.list.splice_back(other.list);
      walk.model.splice(walk.model.end(), other.model);
    } else if (other.Find(item) == other.model.end()) {
      walk.Step(item, items[*rc::gen::inRange<std::size_t>(0, items.size())]);
    }
    walk.Compare();
    other.Compare();
  }
  for (Item& item : items) {
    const bool on_a_list =
        walks[0].Find(item) != walks[0].model.end() || walks[1].Find(item) != walks[1].model.end();
    RC_ASSERT(item.ListNode<ByAge>::is_linked() == on_a_list);
  }
}

}  // namespace
}  // namespace faultline
