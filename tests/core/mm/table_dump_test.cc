// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/mm/table_dump.h and proc_pagemap.h: what is read, in which order, and that pages of
// a reading put together are the reading. Both flavours.

#include "core/mm/table_dump.h"

#include <map>
#include <string>
#include <utility>

#include "core/mm/proc_pagemap.h"
#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr VirtRange kEverything{VirtAddr(0), VirtAddr(uint64_t{1} << 56)};

class TableDumpTest : public MmTest {
 protected:
  explicit TableDumpTest(uint32_t levels = 4) : MmTest({.page_table_levels = levels}) {}

  [[nodiscard]] std::vector<TableRecord> Dump(VirtRange range, size_t most) {
    std::vector<TableRecord> all;
    std::optional<TablePlace> from = TablePlace();
    while (from.has_value()) {
      Result<TableDump> dump = DumpTables(mm(), range, *from, most);
      MM_CHECK(dump.ok());
      MM_CHECK_LE(dump->tables.size(), most);
      for (TableRecord& table : dump->tables) all.push_back(std::move(table));
      from = dump->next;
    }
    return all;
  }
  /// "GUMT": levels from the root (G) to PTE tables (T), in their order.
  [[nodiscard]] static std::string LevelsOf(const std::vector<TableRecord>& tables) {
    std::string text;
    for (const TableRecord& table : tables) text += "TMU4G"[static_cast<size_t>(table.level)];
    return text;
  }
};

TEST_F(TableDumpTest, AnEmptyMmHasItsRoot) {
  const std::vector<TableRecord> tables = Dump(kEverything, 10);
  ASSERT_EQ(LevelsOf(tables), "G");
  EXPECT_TRUE(tables[0].entries.empty());
  EXPECT_EQ(tables[0].address, VirtAddr(0));
}

TEST_F(TableDumpTest, EachTableComesBeforeThoseItPointsTo) {
  // Page 24 begins tables of all levels.
  Map(20, 8);
  Fill(23, 2, 1);
  const std::vector<TableRecord> tables = Dump(kEverything, 100);
  ASSERT_EQ(LevelsOf(tables), "GUMTUMT");
  EXPECT_EQ(static_cast<int64_t>(tables.size()), mm().counters().Sum(MmCounter::kTables));
  std::map<uint64_t, size_t> by_frame;
  for (size_t i = 0; i < tables.size(); ++i) {
    EXPECT_EQ(tables[i].indexes.size(), tables[i].entries.size());
    if (i > 0) {
      EXPECT_TRUE(by_frame.contains(tables[i].frame.value())) << i;
    }
    if (tables[i].level == TableLevel::kPte) continue;
    for (const Entry entry : tables[i].entries) by_frame[entry.pfn().value()] = i;
  }
  EXPECT_EQ(tables[3].indexes, std::vector<uint32_t>{511});
  EXPECT_TRUE(tables[3].entries[0].present());
  EXPECT_EQ(tables[6].address, At(24));
  EXPECT_EQ(tables[6].indexes, std::vector<uint32_t>{0});
}

TEST_F(TableDumpTest, PagesOfAReadingAreTheReading) {
  for (int64_t page = -3000; page < 3000; page += 400) {
    Map(page, 2);
    Fill(page, 2, 1);
  }
  const std::vector<TableRecord> whole = Dump(kEverything, 1000);
  ASSERT_GT(whole.size(), 10u);
  for (const size_t most : {1u, 2u, 3u, 7u}) {
    const std::vector<TableRecord> parts = Dump(kEverything, most);
    ASSERT_EQ(parts.size(), whole.size()) << most;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].frame, whole[i].frame);
      EXPECT_EQ(parts[i].entries, whole[i].entries);
    }
  }
}

TEST_F(TableDumpTest, OnlyWhatConcernsTheRangeIsShown) {
  Map(0, 1000);
  Fill(0, 1000, 1);
  const std::vector<TableRecord> tables = Dump({At(30) + 5, At(32) + 1}, 100);
  ASSERT_EQ(LevelsOf(tables), "GUMT");
  EXPECT_EQ(tables[0].indexes.size(), 1u);
  EXPECT_EQ(tables[2].indexes.size(), 1u);
  EXPECT_EQ(tables[3].indexes, (std::vector<uint32_t>{6, 7, 8}));
  EXPECT_EQ(LevelsOf(Dump({At(-600), At(-599)}, 100)), "GUM") << "the way to where nothing is";
}

class FiveLevelTableDumpTest : public TableDumpTest {
 protected:
  FiveLevelTableDumpTest() : TableDumpTest(5) {}
};

TEST_F(FiveLevelTableDumpTest, ShowsTheLevelBetween) {
  Map(0, 1);
  Fill(0, 1, 1);
  EXPECT_EQ(LevelsOf(Dump(kEverything, 2)), "G4UMT");
}

// -- Pagemap --------------------------------------------------------------------------------------

class PagemapTest : public MmTest {
 protected:
  /// "0:80=7 5:04=0": page, flags and word of each, read `most` at a time.
  [[nodiscard]] std::string Read(VirtRange range, size_t most) {
    std::string text;
    std::optional<VirtAddr> from = range.start();
    while (from.has_value()) {
      const Result<PagemapPage> page = ReadPagemap(mm(), {*from, range.end()}, most);
      MM_CHECK(page.ok());
      MM_CHECK_LE(page->addresses.size(), most);
      for (size_t i = 0; i < page->addresses.size(); ++i) {
        if (!text.empty()) text += " ";
        text += std::to_string((page->addresses[i] - At(0)) >> kPageShift) + ":" +
                (page->flags[i] >= 0x80 ? std::to_string(page->flags[i] - 0x80) + "p"
                                        : std::to_string(page->flags[i])) +
                "=" + std::to_string(page->words[i]);
      }
      from = page->next;
    }
    return text;
  }
};

TEST_F(PagemapTest, ShowsPagesThatHaveAnEntry) {
  Mapping& file = world().NewFile(2);
  Map(0, 10);
  Fill(2, 1, 7);
  (void)WordAt(mm(), At(3));
  ASSERT_EQ(Why(mm().Madvise(At(5), Pages(1), kMadvGuardInstall)), "ok");
  MapFile(2000, 2, file, 0);
  (void)WordAt(mm(), At(2001));
  const std::string all = "2:0p=7 3:0p=0 5:4=0 2000:32p=1000 2001:32p=1001";
  EXPECT_EQ(Read({At(0), At(3000)}, 100), all);
  for (const size_t most : {1u, 2u, 4u, 5u}) EXPECT_EQ(Read({At(0), At(3000)}, most), all) << most;
  EXPECT_EQ(Read(kEverything, 2), all);
  EXPECT_EQ(Read({At(3), At(4)}, 2), "3:0p=0");
  EXPECT_EQ(Read({At(6), At(100)}, 2), "");
}

TEST_F(PagemapTest, AFullPageOfAReadingThatWasTheLastSaysSo) {
  Map(0, 4);
  Fill(0, 2, 1);
  EXPECT_EQ(ReadPagemap(mm(), kEverything, 2)->next, std::nullopt);
  EXPECT_EQ(ReadPagemap(mm(), kEverything, 1)->next, At(1));
}

}  // namespace
}  // namespace faultline
