// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/vma/maple_tree.h: single stores by example, long random sequences against a map of
// ranges, gap searches against a linear one, cursors, what happens when memory runs out and that
// none is lost, and readers beside a writer.

#include "core/vma/maple_tree.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <thread>
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
  [[nodiscard]] size_t used() const { return arena_.used(); }
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
    ASSERT_LT(stored, 10'000u);
  }
  EXPECT_GT(stored, 10u);
  fixture.tree().Validate();
  for (uint64_t i = 0; i < stored; ++i) EXPECT_EQ(fixture.tree().Find(i * 10 + 4), Value(i));
  EXPECT_EQ(fixture.tree().Find(stored * 10), nullptr);
}

TEST(MapleTreeTest, ReservedStoresNeedNoMoreMemory) {
  TreeFixture fixture;
  std::mt19937_64 random(17);
  for (int round = 0; round < 3000; ++round) {
    const auto stores = static_cast<uint32_t>(1 + random() % 12);
    ASSERT_TRUE(fixture.tree().ReserveStores(stores).ok());
    for (uint32_t i = 0; i < stores; ++i) {
      const uint64_t first = random() % 20'000;
      // Store aborts if it finds no spare node. Long ones now and then, so that the height varies.
      const uint64_t last = first + random() % (random() % 300 == 0 ? 20'000 : 4);
      fixture.tree().Store(first, last, random() % 3 == 0 ? nullptr : Value(first));
    }
  }
  fixture.tree().Validate();
}

TEST(MapleTreeTest, WithoutMemoryReserveStoresFailsAndChangesNothing) {
  TreeFixture fixture(16u << 10);
  fixture.Store(10, 19, Value(1));
  EXPECT_EQ(fixture.tree().ReserveStores(1000).error(), Errno::kEnomem);
  EXPECT_EQ(fixture.tree().Lookup(15), (Entry{10, 19, Value(1)}));
  fixture.Store(15, 29, Value(2));  // what it got before it failed is not lost
  EXPECT_EQ(fixture.tree().Lookup(15), (Entry{15, 29, Value(2)}));
}

// -- Where the memory goes ------------------------------------------------------------------------

// Outside of an execution the modelled heap reuses nothing, so these are about the native one.
class MapleTreeMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    if constexpr (kModelled) GTEST_SKIP();
  }
};

TEST_F(MapleTreeMemoryTest, ABusyWriterGetsByWithFewNodes) {
  TreeFixture fixture(64u << 10);  // 128 nodes, a thousandth of what is retired below
  for (uint64_t i = 0; i < 50'000; ++i) {
    const uint64_t first = i % 20 * 10;
    fixture.Store(first, first + 4, Value(i));
    fixture.Store(first, first + 4, nullptr);
  }
  fixture.tree().Validate();
}

TEST_F(MapleTreeMemoryTest, NodesThatWaitForAGracePeriodAreBounded) {
  TreeFixture fixture;
  std::atomic<bool> inside{false};
  std::atomic<bool> done{false};
  std::thread reader([&] {
    const RcuGuard guard;  // no grace period ends before this does
    inside = true;
    while (!done) std::this_thread::yield();
  });
  while (!inside) std::this_thread::yield();
  std::thread stop([&] {  // the writer sleeps by then, or is done
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    done = true;
  });
  for (uint64_t i = 0; i < 40'000; ++i) fixture.Store(10, 19, Value(i));
  EXPECT_LT(fixture.used(), 6u << 20);  // without a bound 20 MB
  reader.join();
  stop.join();
}

TEST_F(MapleTreeMemoryTest, ALargePartDroppedAtOnceGoesBackToTheHeap) {
  TreeFixture fixture(1536u << 10);  // room for one such tree and what waits meanwhile
  const auto fill = [](MapleTree& tree) {
    for (uint64_t i = 0; i < 15'000; ++i) {
      if (i % 1000 == 0) Rcu::Barrier();
      ASSERT_TRUE(tree.Reserve(i * 10, i * 10 + 9).ok()) << i;
      tree.Store(i * 10, i * 10 + 9, Value(i));
    }
  };
  fill(fixture.tree());
  fixture.Store(0, MapleTree::kMaxIndex, nullptr);
  Rcu::Barrier();
  MapleTree other(fixture.heap());
  ASSERT_TRUE(other.Init().ok());
  fill(other);
}

TEST_F(MapleTreeMemoryTest, DestroyedWhileGracePeriodsArePendingItLosesNothing) {
  TreeFixture fixture(128u << 10);
  for (int round = 0; round < 200; ++round) {
    {
      MapleTree tree(fixture.heap());
      ASSERT_TRUE(tree.Init().ok());
      for (uint64_t i = 0; i < 150; ++i) {
        ASSERT_TRUE(tree.Reserve(i, i).ok()) << "round " << round;
        tree.Store(i, i, i % 3 == 0 ? nullptr : Value(i));
      }
    }
    if (round % 4 == 0) Rcu::Barrier();  // otherwise they are pending when the next is destroyed
  }
}

TEST_F(MapleTreeMemoryTest, AWriterThatHasBecomeSlowGivesNodesBack) {
  TreeFixture fixture(6u << 20);
  for (uint64_t i = 0; i < 20'000; ++i) fixture.Store(10, 19, Value(i));
  const auto nodes_left = [&] {
    std::vector<void*> taken;
    while (true) {
      const Result<void*> node =
          fixture.heap().Allocate(MapleTree::kNodeBytes, MapleTree::kNodeBytes);
      if (!node.ok()) break;
      taken.push_back(*node);
    }
    for (void* node : taken) {
      fixture.heap().Free(node, MapleTree::kNodeBytes, MapleTree::kNodeBytes);
    }
    return taken.size();
  };
  const size_t before = nodes_left();
  for (uint64_t i = 0; i < uint64_t{64} * 58; ++i) {
    if (i % 58 == 0) Rcu::Barrier();
    fixture.Store(10, 19, Value(i));
  }
  Rcu::Barrier();
  EXPECT_GT(nodes_left(), before);
  EXPECT_GT(nodes_left() * MapleTree::kNodeBytes, 5u << 20);
}

// -- Readers beside a writer ----------------------------------------------------------------------

/// Entries cover whole tens, and say in their value how many; a store puts one entry over others,
/// or a gap, and again one of a ten at each of its tens. Whatever leaves that takes, an entry that
/// a reader finds has the extent that its value says.
TEST(MapleTreeStressTest, ReadersFindNoEntryThatWasNeverStored) {
  if constexpr (kModelled) GTEST_SKIP();  // there by the explorer
  constexpr uint64_t kTens = 400;
  TreeFixture fixture;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> found{0};
  const auto read = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!done) {
      const uint64_t index = random() % (kTens * 10);
      const RcuGuard guard;
      const Entry entry = fixture.tree().Lookup(index);
      if (entry.first > index || entry.last < index) ++wrong;
      if (entry.value == nullptr) continue;
      ++found;
      const uint64_t tens = reinterpret_cast<uint64_t>(entry.value) >> 4;
      if (entry.first % 10 != 0 || entry.last - entry.first + 1 != tens * 10) ++wrong;
    }
  };
  for (uint64_t ten = 0; ten < kTens; ++ten) fixture.Store(ten * 10, ten * 10 + 9, Value(1));
  std::thread first_reader(read, 1);
  std::thread second_reader(read, 2);
  while (found < 1000) std::this_thread::yield();
  std::mt19937_64 random(3);
  for (int i = 0; i < 15'000; ++i) {
    const uint64_t tens = 1 + random() % (i % 50 == 0 ? 100 : 3);
    const uint64_t first = random() % (kTens - tens) * 10;
    const uint64_t last = first + tens * 10 - 1;
    // The entries at the ends may be wider: away with what would be cut.
    fixture.Store(fixture.tree().Lookup(first).first, fixture.tree().Lookup(last).last, nullptr);
    fixture.Store(first, last, Value(tens));
    fixture.Store(first, last, nullptr);
    for (uint64_t ten = first; ten <= last; ten += 10) fixture.Store(ten, ten + 9, Value(1));
  }
  done = true;
  first_reader.join();
  second_reader.join();
  EXPECT_EQ(wrong, 0u);
}

// -- Cursor ---------------------------------------------------------------------------------------

TEST(MapleCursorTest, WalksAllEntriesAndGapsInBothDirections) {
  TreeFixture fixture;
  std::mt19937_64 random(23);
  for (uint64_t i = 0; i < 3000; ++i) {
    const uint64_t first = random() % 10'000;
    fixture.Store(first, first + random() % 5, random() % 3 == 0 ? nullptr : Value(i));
  }
  const MapleTree& tree = fixture.tree();
  std::vector<Entry> entries{tree.Lookup(0)};
  while (entries.back().last != MapleTree::kMaxIndex) {
    entries.push_back(tree.Lookup(entries.back().last + 1));
  }
  MapleCursor cursor(tree);
  for (size_t i = 0; i < entries.size(); ++i) {
    ASSERT_EQ(cursor.entry(), entries[i]);
    ASSERT_EQ(cursor.Next(), i + 1 < entries.size());
  }
  for (size_t i = entries.size(); i-- > 0;) {
    ASSERT_EQ(cursor.entry(), entries[i]);
    ASSERT_EQ(cursor.Prev(), i > 0);
  }
  EXPECT_GT(entries.size(), 500u);  // many leaves
}

TEST(MapleCursorTest, StepsOverGapsToTheNextValue) {
  TreeFixture fixture;
  fixture.Store(10, 19, Value(1));
  fixture.Store(20, 29, Value(2));
  fixture.Store(40, 49, Value(3));
  MapleCursor cursor(fixture.tree(), 5);
  EXPECT_EQ(cursor.entry(), (Entry{0, 9, nullptr}));
  std::vector<void*> seen;
  while (cursor.NextValue()) seen.push_back(cursor.entry().value);
  EXPECT_EQ(seen, (std::vector<void*>{Value(1), Value(2), Value(3)}));
  EXPECT_EQ(cursor.entry(), (Entry{50, MapleTree::kMaxIndex, nullptr}));
  seen.clear();
  while (cursor.PrevValue()) seen.push_back(cursor.entry().value);
  EXPECT_EQ(seen, (std::vector<void*>{Value(3), Value(2), Value(1)}));
  cursor.Seek(25);
  EXPECT_EQ(cursor.entry(), (Entry{20, 29, Value(2)}));
}

TEST(MapleCursorDeathTest, IsStaleAfterAStore) {
  if constexpr (!kDebugChecks) GTEST_SKIP();
  TreeFixture fixture;
  MapleCursor cursor(fixture.tree());
  fixture.Store(10, 19, Value(1));
  EXPECT_DEATH((void)cursor.Next(), "stores_");
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
