// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/pgtable/tlb.h by one task. That no translation outlives a flush beside others is
// searched in explore_test.cc and tried with threads in race_test.cc.

#include "core/pgtable/tlb.h"

#include <gtest/gtest.h>

#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

class TlbTest : public testing::Test {
 protected:
  static Entry EntryOf(uint64_t pfn) { return Entry::Of(Pfn(pfn), Entry::kUser); }
  static VirtRange Range(uint64_t first, uint64_t pages) {
    return Pages(AddrOf(VirtPage(first)), pages);
  }
  [[nodiscard]] Entry Find(uint64_t page) {
    return TlbSet::Access(tlbs_, context_).Find(VirtPage(page));
  }
  void Insert(uint64_t page, uint64_t pfn) {
    TlbSet::Access(tlbs_, context_).Insert(VirtPage(page), EntryOf(pfn));
  }

  CpuSet cpus_{3};
  TlbSet tlbs_{cpus_};
  TlbContext context_{.tag = AddressTag(7)};
};

TEST_F(TlbTest, RemembersWhatWasInserted) {
  EXPECT_TRUE(Find(5).none());
  Insert(5, 50);
  EXPECT_EQ(Find(5), EntryOf(50));
  EXPECT_TRUE(Find(6).none());
  EXPECT_EQ(tlbs_.counts().hits, 1u);
  EXPECT_EQ(tlbs_.counts().misses, 2u);
}

TEST_F(TlbTest, TwoPagesOfOneLineReplaceEachOther) {
  Insert(5, 50);
  Insert(5 + TlbSet::kEntries, 51);
  EXPECT_TRUE(Find(5).none());
  EXPECT_EQ(Find(5 + TlbSet::kEntries), EntryOf(51));
}

TEST_F(TlbTest, MmsDoNotSeeEachOther) {
  TlbContext other{.tag = AddressTag(8)};
  Insert(5, 50);
  EXPECT_TRUE(TlbSet::Access(tlbs_, other).Find(VirtPage(5)).none());
  TlbSet::Access(tlbs_, other).Forget(VirtPage(5));
  tlbs_.Flush(other, Range(0, 1000));
  EXPECT_EQ(Find(5), EntryOf(50));
}

TEST_F(TlbTest, ForgetsOne) {
  Insert(5, 50);
  Insert(6, 60);
  TlbSet::Access(tlbs_, context_).Forget(VirtPage(5));
  EXPECT_TRUE(Find(5).none());
  EXPECT_EQ(Find(6), EntryOf(60));
}

TEST_F(TlbTest, AShortFlushDropsItsPagesAndNoOthers) {
  for (uint64_t page = 0; page < TlbSet::kEntries; ++page) Insert(page, page + 100);
  tlbs_.Flush(context_, Range(10, TlbSet::kSinglePageCeiling));
  for (uint64_t page = 0; page < TlbSet::kEntries; ++page) {
    const bool dropped = page >= 10 && page < 10 + TlbSet::kSinglePageCeiling;
    EXPECT_EQ(Find(page).none(), dropped) << page;
  }
}

TEST_F(TlbTest, ALongFlushDropsAllOfTheMm) {
  Insert(5, 50);
  tlbs_.Flush(context_, Range(1000, TlbSet::kSinglePageCeiling + 1));
  EXPECT_TRUE(Find(5).none());
  Insert(6, 60);
  tlbs_.Flush(context_, {VirtAddr(0), PageAlignDown(VirtAddr::Max())});
  EXPECT_TRUE(Find(6).none());
}

TEST_F(TlbTest, CountsFlushesAndInterruptsNobodyInVain) {
  tlbs_.Flush(context_, Range(0, 1));
  EXPECT_EQ(tlbs_.counts().flushes, 1u);
  EXPECT_EQ(tlbs_.counts().shootdowns, 0u);
  Insert(5, 50);
  tlbs_.Flush(context_, Range(0, 1));
  EXPECT_EQ(tlbs_.counts().flushes, 2u);
  EXPECT_EQ(tlbs_.counts().shootdowns, 0u);  // it ran on this CPU alone
  // As if it had run on every CPU.
  context_.cpus.FetchOr(7, kRelaxed);
  tlbs_.Flush(context_, Range(0, 1));
  EXPECT_EQ(tlbs_.counts().shootdowns, 2u);
}

}  // namespace
}  // namespace faultline
