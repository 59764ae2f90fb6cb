// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/pgtable/free_tables.cc: which tables go with a mapping, against a reference that
// looks at each table's span by itself.

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/pgtable/range_ops.h"
#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

/// A table by its place. The level is that of what an entry spans: a folded root is not among them.
using Place = std::pair<TableLevel, uint64_t>;

std::set<Place> TablesOf(PageTables& tables) {
  std::set<Place> places;
  tables.ForEachTable([&](Folio&, TableLevel level, VirtAddr start) {
    if (start != VirtAddr(0) || level != TableLevel::kPgd) places.emplace(level, start.value());
  });
  return places;
}

/// The reference: a table goes if it covers something of the range and nothing outside of
/// (floor, ceiling).
bool MayGo(const Place& place, VirtRange range, VirtAddr floor, VirtAddr ceiling) {
  const uint64_t first = place.second;
  const uint64_t end = first + (uint64_t{1} << (ShiftOf(place.first) + 9));
  const bool overlaps = first < range.end().value() && range.start().value() < end;
  const bool reaches_ceiling = ceiling != VirtAddr(0) && end > ceiling.value();
  return overlaps && first >= floor.value() && !reaches_ceiling;
}

std::set<Place> Remaining(const std::set<Place>& before, VirtRange range, VirtAddr floor,
                          VirtAddr ceiling) {
  std::set<Place> left;
  for (const Place& place : before) {
    if (!MayGo(place, range, floor, ceiling)) left.insert(place);
  }
  return left;
}

// -- By example: where the neighbour is
// -------------------------------------------------------------

enum class Neighbour : uint8_t { kShares, kAdjacent, kNone, kBeforeShares, kBeforeAdjacent };

/// Levels of the tree, the level at which the neighbour is met, and where it is.
using Case = std::tuple<uint32_t, TableLevel, Neighbour>;

class NeighbourTest : public testing::TestWithParam<Case> {};

TEST_P(NeighbourTest, SharedTablesStayAndOthersGo) {
  const auto [levels, level, where] = GetParam();
  TableWorld world;
  TestMm mm(world, levels);
  const uint64_t span = uint64_t{1} << ShiftOf(level);  // of an entry; a table covers 512 of them
  const uint64_t table_span = span << 9;
  // Behind the first table of that level, in it the second entry.
  const uint64_t top = uint64_t{1} << (levels == 5 ? 56 : 47);
  const uint64_t table_start = 2 * table_span < top ? table_span : 0;
  const VirtAddr entry_start(table_start + span);

  VirtRange range = Pages(entry_start, 1);
  VirtAddr floor(0);
  VirtAddr ceiling(0);
  switch (where) {
    case Neighbour::kShares:  // the next entry of the same table is its first
      ceiling = entry_start + span;
      mm.Populate(ceiling);
      break;
    case Neighbour::kAdjacent:  // begins where the table that the range is at the end of ends
      if (table_start + table_span >= top) GTEST_SKIP() << "no space behind the last table";
      range = Pages(VirtAddr(table_start + table_span - kPageSize), 1);
      ceiling = range.end();
      mm.Populate(ceiling);
      break;
    case Neighbour::kNone:
      break;
    case Neighbour::kBeforeShares:
      floor = entry_start - span + kPageSize;
      mm.Populate(floor - kPageSize);
      break;
    case Neighbour::kBeforeAdjacent:
      if (table_start == 0) GTEST_SKIP() << "no space before the first table";
      range = Pages(VirtAddr(table_start), 1);
      floor = range.start();
      mm.Populate(floor - kPageSize);
      break;
  }
  mm.Populate(range.start());
  const std::set<Place> before = TablesOf(mm.tables());
  const std::set<Place> expected = Remaining(before, range, floor, ceiling);
  mm.Free(range, floor, ceiling);
  EXPECT_EQ(TablesOf(mm.tables()), expected);
  mm.tables().Validate();

  // What the case is about, in words.
  const auto covering = [&](TableLevel of) {
    const unsigned shift = ShiftOf(of) + 9;
    return Place(of, range.start().value() >> shift << shift);
  };
  const bool is_root = level == (levels == 5 ? TableLevel::kPgd : TableLevel::kP4d);
  const bool shares = where == Neighbour::kShares || where == Neighbour::kBeforeShares;
  if (!is_root) {
    EXPECT_EQ(expected.contains(covering(level)), shares);
  }
  if (level != TableLevel::kPte) {
    EXPECT_FALSE(expected.contains(covering(Below(level))));
  }
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const uint32_t levels : {4u, 5u}) {
    for (int level = 0; level < static_cast<int>(levels); ++level) {
      for (const auto where : {Neighbour::kShares, Neighbour::kAdjacent, Neighbour::kNone,
                               Neighbour::kBeforeShares, Neighbour::kBeforeAdjacent}) {
        cases.emplace_back(levels, static_cast<TableLevel>(level), where);
      }
    }
  }
  return cases;
}

std::string NameOfCase(const testing::TestParamInfo<Case>& info) {
  static constexpr const char* kLevels[] = {"Pte", "Pmd", "Pud", "P4d", "Pgd"};
  static constexpr const char* kWhere[] = {"Shares", "Adjacent", "None", "BeforeShares",
                                           "BeforeAdjacent"};
  const auto [levels, level, where] = info.param;
  return std::to_string(levels) + kLevels[static_cast<size_t>(level)] +
         kWhere[static_cast<size_t>(where)];
}
INSTANTIATE_TEST_SUITE_P(Cases, NeighbourTest, testing::ValuesIn(AllCases()), NameOfCase);

// -- First and last mapping
// -------------------------------------------------------------------------

class EndsOfSpaceTest : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Levels, EndsOfSpaceTest, testing::Values(4u, 5u));

TEST_P(EndsOfSpaceTest, TheFirstAndTheLastMappingGoWithAllTheirTables) {
  TableWorld world;
  TestMm mm(world, GetParam());
  const VirtRange first = Pages(VirtAddr(0), 1);
  const VirtRange last(mm.tables().task_size() - kPageSize, mm.tables().task_size());
  mm.Populate(first.start());
  mm.Populate(last.start());
  EXPECT_EQ(mm.table_count(), 2 * GetParam() - 1);
  mm.Free(first, VirtAddr(0), last.start());
  EXPECT_EQ(mm.table_count(), GetParam());
  mm.Free(last, VirtAddr(0), VirtAddr(0));
  EXPECT_EQ(mm.table_count(), 1);
}

TEST_P(EndsOfSpaceTest, AnotherFirstMappingThatEndsInTheSameTableKeepsIt) {
  TableWorld world;
  TestMm mm(world, GetParam());
  mm.Populate(VirtAddr(0));
  mm.Free(Pages(VirtAddr(0), 1), VirtAddr(0), VirtAddr(2 * kPageSize));
  EXPECT_EQ(mm.table_count(), GetParam());
  mm.Free(Pages(VirtAddr(4 * kPageSize), 1), VirtAddr(3 * kPageSize), VirtAddr(0));
  EXPECT_EQ(mm.table_count(), GetParam());
}

TEST_P(EndsOfSpaceTest, AnEmptyRangeFreesNothing) {
  TableWorld world;
  TestMm mm(world, GetParam());
  mm.Populate(VirtAddr(0));
  mm.Free(Pages(VirtAddr(kPageSize), 0), VirtAddr(0), VirtAddr(0));
  EXPECT_EQ(mm.table_count(), GetParam());
}

// -- Random layouts
// -----------------------------------------------------------------------------------

class RandomLayoutTest : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Levels, RandomLayoutTest, testing::Values(4u, 5u));

/// A page near a boundary of a random level.
uint64_t RandomPage(std::mt19937_64& random, uint64_t top_page) {
  const unsigned level = static_cast<unsigned>(random() % 5);
  const unsigned shift = 9 * level;
  const uint64_t boundary = (random() % 4 + 1) << shift;
  const uint64_t page = boundary + random() % 7 - 3;
  return page % top_page;
}

TEST_P(RandomLayoutTest, FreesWhatTheReferenceFreesAndSparesTheRest) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    TableWorld world({.frames = 65536});
    TestMm mm(world, GetParam());
    const uint64_t top_page = mm.tables().task_size().value() >> kPageShift;
    std::set<uint64_t> cuts{0, top_page};
    for (int i = 0; i < 14; ++i) cuts.insert(RandomPage(random, top_page));
    // Every second gap between cuts, and sometimes its neighbour, is a mapping, populated at its
    // ends and somewhere inside.
    std::map<uint64_t, uint64_t> mappings;
    for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut) {
      const uint64_t end = *std::next(cut);
      if (random() % 3 == 0) continue;
      mappings[*cut] = end;
      for (const uint64_t page : {*cut, end - 1, *cut + random() % (end - *cut)}) {
        mm.Populate(AddrOf(VirtPage(page)));
      }
    }
    std::vector<uint64_t> order;
    order.reserve(mappings.size());
    for (const auto& [start, end] : mappings) order.push_back(start);
    std::shuffle(order.begin(), order.end(), random);
    for (const uint64_t start : order) {
      const auto at = mappings.find(start);
      const VirtRange range(AddrOf(VirtPage(start)), AddrOf(VirtPage(at->second)));
      const VirtAddr floor =
          at == mappings.begin() ? VirtAddr(0) : AddrOf(VirtPage(std::prev(at)->second));
      const VirtAddr ceiling =
          std::next(at) == mappings.end() ? VirtAddr(0) : AddrOf(VirtPage(std::next(at)->first));
      const std::set<Place> expected = Remaining(TablesOf(mm.tables()), range, floor, ceiling);
      mappings.erase(at);
      mm.Free(range, floor, ceiling);
      ASSERT_EQ(TablesOf(mm.tables()), expected);
    }
    EXPECT_EQ(mm.table_count(), 1);
  }
}

// -- One empty PTE table
// ------------------------------------------------------------------------------

class TryFreeTest : public testing::Test {
 protected:
  [[nodiscard]] bool TryFree() {
    return mm_.WithGather([&](TlbGather& gather) {
      return TryFreeEmptyPteTable(mm_.tables(), gather, mm_.tables().FindPmd(addr_), addr_);
    });
  }
  TableWorld world_;
  TestMm mm_{world_};
  const VirtAddr addr_{3 * kPmdSize};
};

TEST_F(TryFreeTest, FreesAnEmptyTable) {
  mm_.Populate(addr_);
  EXPECT_TRUE(TryFree());
  EXPECT_EQ(mm_.table_count(), 3);
  EXPECT_TRUE(mm_.tables().FindPmd(addr_).Load().none());
  EXPECT_FALSE(TryFree());
}

TEST_F(TryFreeTest, KeepsATableWithAnyEntry) {
  for (const uint64_t page : {0u, 511u}) {
    const VirtAddr addr = addr_ + page * kPageSize;
    mm_.SetEntry(addr, Entry::Guard());
    EXPECT_FALSE(TryFree());
    EXPECT_TRUE(mm_.At(addr).is_guard());
    mm_.Zap(Pages(addr, 1), {.drop_markers = true});
  }
  EXPECT_TRUE(TryFree());
}

}  // namespace
}  // namespace faultline
