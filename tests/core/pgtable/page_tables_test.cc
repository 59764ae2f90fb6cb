// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/pgtable/page_tables.h: walks, allocation level by level, spare tables, and locking
// a PTE table.

#include "core/pgtable/page_tables.h"

#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

TEST(EntryTest, KeepsFieldsApart) {
  const Entry entry = Entry::Of(Pfn(0x12345), Entry::kUser | Entry::kNoExec);
  EXPECT_TRUE(entry.present() && entry.no_exec() && !entry.writable() && !entry.none());
  EXPECT_EQ(entry.pfn(), Pfn(0x12345));
  EXPECT_EQ(entry.With(Entry::kDirty).Without(Entry::kDirty), entry);
  EXPECT_TRUE(Entry::Guard().is_guard() && !Entry::Guard().present() && !Entry::Guard().none());
}

TEST(EntryTest, FindsTheNextBoundary) {
  EXPECT_EQ(NextBoundary(TableLevel::kPmd, VirtAddr(0)), VirtAddr(kPmdSize));
  EXPECT_EQ(NextBoundary(TableLevel::kPmd, VirtAddr(kPmdSize - 1)), VirtAddr(kPmdSize));
  EXPECT_EQ(NextBoundary(TableLevel::kPud, VirtAddr(kPmdSize)), VirtAddr(1ull << 30));
}

class LevelsTest : public testing::TestWithParam<uint32_t> {
 protected:
  TableWorld world_;
  TestMm mm_{world_, GetParam()};
  PageTables& tables_ = mm_.tables();
};
INSTANTIATE_TEST_SUITE_P(Levels, LevelsTest, testing::Values(4u, 5u));

TEST_P(LevelsTest, AnEmptyTreeHasTheRootOnly) {
  EXPECT_EQ(mm_.table_count(), 1);
  EXPECT_FALSE(tables_.FindPmd(VirtAddr(0)));
  EXPECT_FALSE(tables_.FindPte(VirtAddr(0)));
  EXPECT_TRUE(tables_.Translate(tables_.task_size() - kPageSize).none());
}

TEST_P(LevelsTest, AllocatesEachMissingLevelOnce) {
  const VirtAddr addr(0x1234'5678'9000);
  const Result<EntryRef> pmd = tables_.AllocPmd(addr, Gfp::kKernel);
  ASSERT_TRUE(pmd.ok());
  EXPECT_EQ(mm_.table_count(), GetParam() - 1);  // all but the PTE table
  EXPECT_TRUE(pmd->Load().none());
  ASSERT_TRUE(tables_.AllocPte(*pmd, Gfp::kKernel).ok());
  EXPECT_EQ(mm_.table_count(), GetParam());
  const Entry seen = pmd->Load();
  ASSERT_TRUE(tables_.AllocPte(*pmd, Gfp::kKernel).ok());
  EXPECT_EQ(pmd->Load(), seen);
  EXPECT_EQ(tables_.AllocPmd(addr, Gfp::kKernel)->slot, pmd->slot);
  EXPECT_EQ(tables_.FindPmd(addr).slot, pmd->slot);
  EXPECT_EQ(mm_.table_count(), GetParam());
  tables_.Validate();
}

TEST_P(LevelsTest, TellsHowFarDownAWalkGoes) {
  const VirtAddr addr(0x1234'5678'9000);
  EXPECT_EQ(tables_.Descend(addr).level, GetParam() == 5 ? TableLevel::kPgd : TableLevel::kP4d);
  mm_.Populate(addr);
  EXPECT_TRUE(tables_.Descend(addr).has_pte_table());
  // As far from `addr` as each level's table reaches.
  for (const TableLevel level : {TableLevel::kPmd, TableLevel::kPud, TableLevel::kP4d}) {
    const PageTables::Descent descent =
        tables_.Descend(VirtAddr(addr.value() ^ (1ull << ShiftOf(level))));
    EXPECT_EQ(descent.level, level);
    EXPECT_TRUE(descent.seen.none());
  }
}

TEST_P(LevelsTest, AddressesThatDifferInOneLevelLeadToDifferentEntries) {
  std::vector<VirtAddr> addrs{VirtAddr(0), tables_.task_size() - kPageSize};
  const unsigned top = GetParam() == 5 ? 56 : 47;
  for (unsigned bit = kPageShift; bit < top; ++bit) addrs.emplace_back(1ull << bit);
  for (size_t i = 0; i < addrs.size(); ++i) {
    mm_.SetEntry(addrs[i], Entry::Of(world_.frames().zero_pfn(),
                                     Entry::kSpecial | (i << 52)));  // bits 52.. have no meaning
  }
  for (size_t i = 0; i < addrs.size(); ++i) {
    EXPECT_EQ(mm_.At(addrs[i]).raw() >> 52, i);
    EXPECT_EQ(tables_.FindPte(addrs[i]).Load(), mm_.At(addrs[i]));
  }
  tables_.Validate();
}

TEST_P(LevelsTest, VisitsEveryTableWithItsPlace) {
  const VirtAddr addr(0x1234'5678'9000);
  mm_.Populate(addr);
  mm_.Populate(addr + kPmdSize);
  std::map<TableLevel, std::vector<VirtAddr>> seen;
  tables_.ForEachTable(
      [&](Folio&, TableLevel level, VirtAddr start) { seen[level].push_back(start); });
  const auto first = [&](TableLevel level) {
    const unsigned shift = ShiftOf(level) + 9;  // a table of `level` covers 512 of its entries
    return VirtAddr(addr.value() >> shift << shift);
  };
  EXPECT_EQ(seen[TableLevel::kPte],
            (std::vector{first(TableLevel::kPte), first(TableLevel::kPte) + kPmdSize}));
  EXPECT_EQ(seen[TableLevel::kPmd], std::vector{first(TableLevel::kPmd)});
  EXPECT_EQ(seen[TableLevel::kPud], std::vector{first(TableLevel::kPud)});
  EXPECT_EQ(seen[TableLevel::kP4d].size(), GetParam() == 5 ? 1u : 0u);
  EXPECT_EQ(seen[TableLevel::kPgd], std::vector{VirtAddr(0)});
}

class PageTablesTest : public testing::Test {
 protected:
  using Wiring = PageTables::Wiring;
  static bool Yes() { return true; }

  TableWorld world_;
  TestMm mm_{world_};
  PageTables& tables_ = mm_.tables();
  const VirtAddr addr_{0x1234'5678'9000};
};

TEST_F(PageTablesTest, WiringTakesTheSpare) {
  const EntryRef pmd = *tables_.AllocPmd(addr_, Gfp::kKernel);
  SpareTable spare = *tables_.AllocSpare(TableLevel::kPte, Gfp::kKernel);
  const Folio* table = spare.get();
  EXPECT_EQ(tables_.Wire(pmd, spare, Yes), Wiring::kDone);
  EXPECT_FALSE(spare);
  EXPECT_EQ(&tables_.TableAt(pmd.Load()), table);
}

TEST_F(PageTablesTest, ASpareThatIsNotUsedFreesItself) {
  mm_.Populate(addr_);
  const uint64_t before = world_.frames().free_frames();
  {
    SpareTable spare = *tables_.AllocSpare(TableLevel::kPte, Gfp::kKernel);
    EXPECT_EQ(world_.frames().free_frames(), before - 1);
    EXPECT_EQ(tables_.Wire(tables_.FindPmd(addr_), spare, Yes), Wiring::kLost);
    EXPECT_TRUE(spare);
    SpareTable other = std::move(spare);
    EXPECT_TRUE(other);
  }
  EXPECT_EQ(world_.frames().free_frames(), before);
  EXPECT_EQ(mm_.table_count(), 4);
}

TEST_F(PageTablesTest, NothingIsWiredIfThePredicateSaysNo) {
  const auto no = [] { return false; };
  const EntryRef pmd = *tables_.AllocPmd(addr_, Gfp::kKernel);
  const int64_t before = mm_.table_count();
  SpareTable spare = *tables_.AllocSpare(TableLevel::kPte, Gfp::kKernel);
  EXPECT_EQ(tables_.Wire(pmd, spare, no), Wiring::kInvalid);
  EXPECT_TRUE(spare);
  EXPECT_TRUE(pmd.Load().none());
  EXPECT_EQ(mm_.table_count(), before);
}

TEST_F(PageTablesTest, ThePredicateIsAskedUnderTheLockOfTheTableWritten) {
  std::vector<LockSubclass> asked;
  const auto ask = [&] {
    const PageTables::Descent at = tables_.Descend(addr_);
    EXPECT_NE(tables_.LockOf(*at.entry.table).holder(), 0u);
    asked.push_back(PageTables::SubclassOf(*at.entry.table));
    return true;
  };
  for (PageTables::Descent at = tables_.Descend(addr_); !at.has_pte_table();
       at = tables_.Descend(addr_)) {
    SpareTable spare = *tables_.AllocSpare(Below(at.level), Gfp::kKernel);
    ASSERT_EQ(tables_.Wire(at.entry, spare, ask), Wiring::kDone);
  }
  EXPECT_EQ(asked,
            (std::vector{LockSubclass::kNormal, LockSubclass::kNormal, LockSubclass::kNested}));
}

TEST_F(PageTablesTest, NothingIsWiredIntoAStrayTable) {
  const EntryRef pmd = *tables_.AllocPmd(addr_, Gfp::kKernel);
  const RcuGuard guard;  // keeps the table
  Folio& table = *pmd.table;
  table.Get();  // in the modelled build nothing else does, outside of an execution
  mm_.Unmap();
  EXPECT_NE(PageTables::InfoOf(table).stray.Peek(), 0);
  SpareTable spare = *tables_.AllocSpare(TableLevel::kPte, Gfp::kNowait);
  EXPECT_EQ(tables_.Wire(pmd, spare, Yes), Wiring::kStray);
  EXPECT_TRUE(pmd.Load().none());
  world_.frames().Put(table);
}

// -- Locked PTE tables
// ------------------------------------------------------------------------------

using PteLockTest = PageTablesTest;

TEST_F(PteLockTest, IsEmptyWithoutATable) {
  const LockedPte no_pmd(tables_, tables_.FindPmd(addr_), addr_);
  EXPECT_FALSE(no_pmd);
  const EntryRef pmd = *tables_.AllocPmd(addr_, Gfp::kKernel);
  const LockedPte no_table(tables_, pmd, addr_);
  EXPECT_FALSE(no_table);
  EXPECT_FALSE(Rcu::InSection());
}

TEST_F(PteLockTest, HoldsTheLockAndASectionUntilItEnds) {
  mm_.Populate(addr_);
  const EntryRef pmd = tables_.FindPmd(addr_);
  Folio& table = tables_.TableAt(pmd.Load());
  {
    LockedPte pte(tables_, pmd, addr_);
    ASSERT_TRUE(pte);
    EXPECT_EQ(&pte.table(), &table);
    EXPECT_EQ(pte.index(), IndexIn(TableLevel::kPte, addr_));
    EXPECT_NE(tables_.LockOf(table).holder(), 0u);
    if (!kModelled) {
      EXPECT_TRUE(Rcu::InSection());
    }
  }
  EXPECT_EQ(tables_.LockOf(table).holder(), 0u);
  EXPECT_FALSE(Rcu::InSection());
}

TEST_F(PteLockTest, ReadsAndChangesEntries) {
  mm_.Populate(addr_);
  const Entry entry = Entry::Of(world_.frames().zero_pfn(), Entry::kSpecial | Entry::kDirty);
  LockedPte pte(tables_, tables_.FindPmd(addr_), addr_);
  EXPECT_TRUE(pte.Load().none());
  pte.Store(entry);
  EXPECT_EQ(pte.Load(), entry);
  EXPECT_EQ(tables_.Translate(addr_), entry);
  EXPECT_EQ(pte.Modify(pte.index(), [](Entry e) { return e.Without(Entry::kDirty); }), entry);
  EXPECT_EQ(pte.GetAndClear(pte.index()), entry.Without(Entry::kDirty));
  EXPECT_TRUE(pte.Load().none());
}

}  // namespace
}  // namespace faultline
