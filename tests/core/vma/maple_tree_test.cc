// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/vma/maple_tree.h: single stores by example, long random sequences against a map of
// ranges, gap searches against a linear one, and what happens when memory runs out.

#include "core/vma/maple_tree.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/arena.h"

namespace faultline {
namespace {

using Entry = MapleTree::Entry;

/// A value that is easy to recognise.
void* Value(uint64_t n) { return reinterpret_cast<void*>((n << 4) | 1); }

/// A tree with a heap of its own.
class TreeFixture {
 public:
  explicit TreeFixture(size_t bytes = 64u << 20)
      : arena_(std::move(*Arena::Create(bytes))), heap_(arena_), tree_(heap_) {
    MM_CHECK(tree_.Init().ok());
  }
  ~TreeFixture() { Rcu::Barrier(); }
  TreeFixture(const TreeFixture&) = delete;
  TreeFixture& operator=(const TreeFixture&) = delete;

  MapleTree& tree() { return tree_; }
  Heap& heap() { return heap_; }
  void Store(uint64_t first, uint64_t last, void* value) {
    ASSERT_TRUE(tree_.Reserve(first, last).ok());
    tree_.Store(first, last, value);
  }

 private:
  Arena arena_;
  Heap heap_;
  MapleTree tree_;
};

/// The naive model: entries by their first index.
class RangeMap {
 public:
  void Store(uint64_t first, uint64_t last, void* value) {
    SplitAt(first);
    if (last != MapleTree::kMaxIndex) SplitAt(last + 1);
    entries_.erase(entries_.lower_bound(first), entries_.upper_bound(last));
    if (value != nullptr) entries_[first] = {last, value};
  }
  [[nodiscard]] Entry Lookup(uint64_t index) const {
    const auto after = entries_.upper_bound(index);
    uint64_t gap_first = 0;
    if (after != entries_.begin()) {
      const auto& [first, entry] = *std::prev(after);
      if (entry.last >= index) return {first, entry.last, entry.value};
      gap_first = entry.last + 1;
    }
    const uint64_t gap_last = after == entries_.end() ? MapleTree::kMaxIndex : after->first - 1;
    return {gap_first, gap_last, nullptr};
  }
  /// Every gap of at least `size` within [min, max], clipped to it.
  [[nodiscard]] std::vector<Entry> Gaps(uint64_t min, uint64_t max, uint64_t size) const {
    std::vector<Entry> gaps;
    for (uint64_t index = min;;) {
      const Entry entry = Lookup(index);
      const uint64_t first = std::max(entry.first, min);
      const uint64_t last = std::min(entry.last, max);
      if (entry.value == nullptr && last - first >= size - 1)
        gaps.push_back({first, last, nullptr});
      if (entry.last >= max) return gaps;
      index = entry.last + 1;
    }
  }

 private:
  struct Tail {
    uint64_t last;
    void* value;
  };
  /// Makes an entry that covers `index` without beginning there into two.
  void SplitAt(uint64_t index) {
    auto it = entries_.lower_bound(index);
    if (it == entries_.begin()) return;
    Tail& before = std::prev(it)->second;
    if (before.last < index) return;
    entries_[index] = before;
    before.last = index - 1;
  }
  std::map<uint64_t, Tail> entries_;
};

TEST(MapleTreeTest, IsOneGapWhenNew) {
  TreeFixture fixture;
  EXPECT_EQ(fixture.tree().Lookup(0), (Entry{0, MapleTree::kMaxIndex, nullptr}));
  EXPECT_EQ(fixture.tree().Find(MapleTree::kMaxIndex), nullptr);
  fixture.tree().Validate();
}

TEST(MapleTreeTest, FindsAStoredRangeAtBothEndsAndNotBeside) {
  TreeFixture fixture;
  fixture.Store(10, 19, Value(1));
  EXPECT_EQ(fixture.tree().Find(9), nullptr);
  EXPECT_EQ(fixture.tree().Find(10), Value(1));
  EXPECT_EQ(fixture.tree().Find(19), Value(1));
  EXPECT_EQ(fixture.tree().Find(20), nullptr);
  EXPECT_EQ(fixture.tree().Lookup(15), (Entry{10, 19, Value(1)}));
}

TEST(MapleTreeTest, StoringInsideAnEntrySplitsIt) {
  TreeFixture fixture;
  fixture.Store(10, 29, Value(1));
  fixture.Store(15, 19, Value(2));
  EXPECT_EQ(fixture.tree().Lookup(12), (Entry{10, 14, Value(1)}));
  EXPECT_EQ(fixture.tree().Lookup(17), (Entry{15, 19, Value(2)}));
  EXPECT_EQ(fixture.tree().Lookup(25), (Entry{20, 29, Value(1)}));
}

TEST(MapleTreeTest, NeighbouringGapsBecomeOne) {
  TreeFixture fixture;
  fixture.Store(10, 19, Value(1));
  fixture.Store(20, 29, Value(2));
  fixture.Store(10, 19, nullptr);
  fixture.Store(20, 29, nullptr);
  EXPECT_EQ(fixture.tree().Lookup(15), (Entry{0, MapleTree::kMaxIndex, nullptr}));
}

TEST(MapleTreeTest, CoversTheEndsOfTheIndexSpace) {
  TreeFixture fixture;
  fixture.Store(0, 0, Value(1));
  fixture.Store(MapleTree::kMaxIndex, MapleTree::kMaxIndex, Value(2));
  EXPECT_EQ(fixture.tree().Find(0), Value(1));
  EXPECT_EQ(fixture.tree().Find(MapleTree::kMaxIndex), Value(2));
  fixture.Store(0, MapleTree::kMaxIndex, Value(3));
  EXPECT_EQ(fixture.tree().Lookup(5), (Entry{0, MapleTree::kMaxIndex, Value(3)}));
  fixture.tree().Validate();
}

TEST(MapleTreeTest, WalksForwardsAndBackwardsOverGaps) {
  TreeFixture fixture;
  fixture.Store(10, 19, Value(1));
  fixture.Store(40, 49, Value(2));
  EXPECT_EQ(fixture.tree().FindFrom(0), (Entry{10, 19, Value(1)}));
  EXPECT_EQ(fixture.tree().FindFrom(20), (Entry{40, 49, Value(2)}));
  EXPECT_EQ(fixture.tree().FindFrom(50).value, nullptr);
  EXPECT_EQ(fixture.tree().FindBackFrom(100), (Entry{40, 49, Value(2)}));
  EXPECT_EQ(fixture.tree().FindBackFrom(39), (Entry{10, 19, Value(1)}));
  EXPECT_EQ(fixture.tree().FindBackFrom(9).value, nullptr);
}

TEST(MapleTreeTest, OneStoreReplacesManyLeavesAndGivesTheirNodesBack) {
  TreeFixture fixture;
  for (uint64_t i = 0; i < 5000; ++i) fixture.Store(i * 10, i * 10 + 4, Value(i));
  const size_t nodes = fixture.tree().node_count();
  EXPECT_GT(nodes, 200u);
  fixture.Store(5, 49'990, nullptr);
  fixture.tree().Validate();
  EXPECT_LT(fixture.tree().node_count(), 8u);
  EXPECT_EQ(fixture.tree().FindFrom(5), (Entry{49'991, 49'994, Value(4999)}));
}

TEST(MapleTreeTest, FindsTheLowestAndTheHighestGapThatFits) {
  TreeFixture fixture;
  fixture.Store(0, 9, Value(1));
  fixture.Store(13, 20, Value(2));
  fixture.Store(30, 99, Value(3));
  EXPECT_EQ(fixture.tree().FindGapUp(0, 99, 3), std::optional<uint64_t>(10));
  EXPECT_EQ(fixture.tree().FindGapUp(0, 99, 4), std::optional<uint64_t>(21));
  EXPECT_EQ(fixture.tree().FindGapDown(0, 99, 3), std::optional<uint64_t>(27));
  EXPECT_EQ(fixture.tree().FindGapDown(0, 28, 3), std::optional<uint64_t>(26));
  EXPECT_EQ(fixture.tree().FindGapUp(0, 99, 10), std::nullopt);
  EXPECT_EQ(fixture.tree().FindGapUp(50, MapleTree::kMaxIndex, 1u << 30),
            std::optional<uint64_t>(100));
}

TEST(MapleTreeTest, WithoutMemoryReserveFailsAndChangesNothing) {
  TreeFixture fixture(16u << 10);  // 32 nodes
  uint64_t stored = 0;
  while (fixture.tree().Reserve(stored * 10, stored * 10 + 4).ok()) {
    fixture.tree().Store(stored * 10, stored * 10 + 4, Value(stored));
    ++stored;
    Rcu::Barrier();  // what was retired is free again: only live nodes count
    ASSERT_LT(stored, 10'000u);
  }
  EXPECT_GT(stored, 10u);
  fixture.tree().Validate();
  for (uint64_t i = 0; i < stored; ++i) EXPECT_EQ(fixture.tree().Find(i * 10 + 4), Value(i));
  EXPECT_EQ(fixture.tree().Find(stored * 10), nullptr);
}

/// How a random sequence is shaped.
struct Shape {
  uint64_t space;       ///< indices used
  uint64_t max_length;  ///< of one store
  int erase_percent;
};

class MapleTreePropertyTest : public testing::TestWithParam<Shape> {};

TEST_P(MapleTreePropertyTest, AgreesWithAMapOfRangesAfterEveryStore) {
  const Shape shape = GetParam();
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  TreeFixture fixture;
  RangeMap model;
  for (uint64_t i = 1; i <= 20'000; ++i) {
    uint64_t first = random() % shape.space;
    uint64_t last = first + random() % shape.max_length;
    if (random() % 1000 == 0) last = MapleTree::kMaxIndex;
    if (random() % 2000 == 0) first = 0;
    void* value = random() % 100 < static_cast<uint64_t>(shape.erase_percent) ? nullptr : Value(i);
    fixture.Store(first, last, value);
    model.Store(first, last, value);
    for (const uint64_t index : {first, last, random() % shape.space}) {
      ASSERT_EQ(fixture.tree().Lookup(index), model.Lookup(index)) << "store " << i;
      ASSERT_EQ(fixture.tree().Find(index), model.Lookup(index).value) << "store " << i;
    }
    if (i % 100 != 0) continue;
    fixture.tree().Validate();
    const uint64_t min = random() % shape.space;
    const uint64_t max = min + random() % shape.space;
    const uint64_t size = 1 + random() % 40;
    const std::vector<Entry> gaps = model.Gaps(min, max, size);
    const auto up = fixture.tree().FindGapUp(min, max, size);
    const auto down = fixture.tree().FindGapDown(min, max, size);
    ASSERT_EQ(up.has_value(), !gaps.empty()) << "store " << i;
    ASSERT_EQ(down.has_value(), !gaps.empty()) << "store " << i;
    if (gaps.empty()) continue;
    ASSERT_EQ(*up, gaps.front().first) << "store " << i;
    ASSERT_EQ(*down, gaps.back().last - size + 1) << "store " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MapleTreePropertyTest,
                         testing::Values(Shape{300, 5, 40}, Shape{5'000, 50, 30},
                                         Shape{100'000, 5, 50}, Shape{100'000, 3'000, 20},
                                         Shape{100'000, 40'000, 60}, Shape{1'000'000, 9, 10}),
                         [](const testing::TestParamInfo<Shape>& shape) {
                           return "Space" + std::to_string(shape.param.space) + "Length" +
                                  std::to_string(shape.param.max_length);
                         });

}  // namespace
}  // namespace faultline
