// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/pgtable/range_ops.h by example: what each operation does to the folios, their flags
// and the TLBs. That they do it to the right entries is tried at random in range_ops_model_test.cc.

#include "core/pgtable/range_ops.h"

#include <gtest/gtest.h>

#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

class RangeOpsTest : public testing::Test {
 protected:
  void Cache(VirtAddr addr) {
    TlbSet::Access(world_.tlbs(), mm_.context()).Insert(PageOf(addr), mm_.At(addr));
  }
  [[nodiscard]] bool IsCached(VirtAddr addr) {
    return TlbSet::Access(world_.tlbs(), mm_.context()).Find(PageOf(addr)).present();
  }
  [[nodiscard]] VirtAddr Page(uint64_t index) const { return base_ + index * kPageSize; }

  TableWorld world_;
  TestMm mm_{world_};
  PageTables& tables_ = mm_.tables();
  FrameAllocator& frames_ = world_.frames();
  const VirtAddr base_{0x7f00'0000'0000};
};

// -- Zap
// ------------------------------------------------------------------------------------------------

using ZapTest = RangeOpsTest;

TEST_F(ZapTest, MovesTheDirtyBitOfAFilePageToTheFolio) {
  Folio& clean = world_.NewFolio(FrameUse::kFile);
  Folio& dirty = world_.NewFolio(FrameUse::kFile);
  clean.Get();
  dirty.Get();
  mm_.MapFolio(Page(0), clean, kWritableBits);
  mm_.MapFolio(Page(1), dirty, kWritableBits | Entry::kDirty);
  EXPECT_EQ(mm_.counters().Sum(MmCounter::kFilePages), 2);
  mm_.Zap(Pages(base_, 2));
  EXPECT_FALSE(clean.Has(kFolioDirty));
  EXPECT_TRUE(dirty.Has(kFolioDirty));
  EXPECT_EQ(dirty.mapcount(), 0);
  EXPECT_EQ(dirty.refcount(), 1u);
  EXPECT_EQ(mm_.counters().Rss(), 0);
  frames_.Put(clean);
  frames_.Put(dirty);
}

TEST_F(ZapTest, FlushesASharedDirtyPageBeforeItUnlocks) {
  Folio& folio = world_.NewFolio(FrameUse::kFile);
  mm_.MapFolio(base_, folio, kWritableBits | Entry::kDirty);
  Cache(base_);
  TlbGather gather(frames_, world_.heap(), world_.tlbs(), mm_.context());
  ZapRange(tables_, gather, Pages(base_, 1), {});
  EXPECT_FALSE(IsCached(base_));
  gather.Finish();
}

TEST_F(ZapTest, FlushesOtherPagesAtTheEnd) {
  mm_.MapAnon(base_, kWritableBits | Entry::kDirty);
  Cache(base_);
  TlbGather gather(frames_, world_.heap(), world_.tlbs(), mm_.context());
  ZapRange(tables_, gather, Pages(base_, 1), {});
  EXPECT_TRUE(IsCached(base_));
  gather.Finish();
  EXPECT_FALSE(IsCached(base_));
}

TEST_F(ZapTest, CountsSharedAnonymousMemoryApart) {
  Folio& folio = world_.NewFolio(FrameUse::kFile);
  folio.Set(kFolioSwapBacked);
  mm_.MapFolio(base_, folio, kWritableBits);
  EXPECT_EQ(mm_.counters().Sum(MmCounter::kShmemPages), 1);
  EXPECT_EQ(mm_.counters().Rss(), 1);
  mm_.Zap(Pages(base_, 1));
  EXPECT_EQ(mm_.counters().Sum(MmCounter::kShmemPages), 0);
}

TEST_F(ZapTest, TheZeroPageIsNotCounted) {
  mm_.SetEntry(base_, Entry::Of(frames_.zero_pfn(), kReadOnlyBits | Entry::kSpecial));
  Cache(base_);
  mm_.Zap(Pages(base_, 1));
  EXPECT_TRUE(mm_.At(base_).none());
  EXPECT_FALSE(IsCached(base_));
}

TEST_F(ZapTest, FreesOnlyEmptyTablesThatLieInsideTheRange) {
  const VirtAddr second(base_ + kPmdSize);
  mm_.MapAnon(base_ + kPageSize);
  mm_.MapAnon(second);
  mm_.MapAnon(second + kPmdSize);
  mm_.SetEntry(second + 2 * kPmdSize, Entry::Guard());
  mm_.Zap({base_ + kPageSize, second + 3 * kPmdSize}, {.free_empty_tables = true});
  EXPECT_TRUE(tables_.Descend(base_).has_pte_table());  // its first page is not in the range
  EXPECT_FALSE(tables_.Descend(second).has_pte_table());
  EXPECT_FALSE(tables_.Descend(second + kPmdSize).has_pte_table());
  EXPECT_TRUE(mm_.At(second + 2 * kPmdSize).is_guard());
  tables_.Validate();
}

TEST_F(ZapTest, GuardMarkersStayUnlessDropped) {
  mm_.SetEntry(base_, Entry::Guard());
  mm_.Zap(Pages(base_, 1));
  EXPECT_TRUE(mm_.At(base_).is_guard());
  mm_.Zap(Pages(base_, 1), {.drop_markers = true});
  EXPECT_TRUE(mm_.At(base_).none());
}

// -- Protect, lazy free
// -----------------------------------------------------------------------------

using ProtectTest = RangeOpsTest;

TEST_F(ProtectTest, TakesAwayButDoesNotGiveWriting) {
  Folio& folio = mm_.MapAnon(base_, kWritableBits | Entry::kDirty | Entry::kAccessed);
  const auto protect = [&](uint64_t bits) {
    mm_.WithGather([&](TlbGather& g) { ProtectRange(tables_, g, Pages(base_, 1), bits); });
  };
  const auto entry_with = [&](uint64_t bits) {
    return Entry::Of(frames_.PfnOf(folio), bits | Entry::kDirty | Entry::kAccessed);
  };
  Cache(base_);
  protect(LeafBits(true, true, false));
  EXPECT_EQ(mm_.At(base_), entry_with(LeafBits(true, true, false)));
  EXPECT_TRUE(IsCached(base_));  // nothing changed
  protect(LeafBits(true, true, true));
  EXPECT_EQ(mm_.At(base_), entry_with(LeafBits(true, true, true)));
  EXPECT_FALSE(IsCached(base_));
  protect(LeafBits(false, false, false));
  EXPECT_EQ(mm_.At(base_), entry_with(LeafBits(false, false, false)));
  EXPECT_TRUE(mm_.At(base_).prot_none());
  protect(LeafBits(true, true, false));
  EXPECT_EQ(mm_.At(base_), entry_with(LeafBits(true, false, false)));
}

TEST_F(ProtectTest, LeavesMarkersAndHolesAlone) {
  mm_.SetEntry(base_, Entry::Guard());
  mm_.WithGather([&](TlbGather& g) { ProtectRange(tables_, g, Pages(base_, 2), kReadOnlyBits); });
  EXPECT_TRUE(mm_.At(base_).is_guard());
  EXPECT_TRUE(mm_.At(Page(1)).none());
}

TEST_F(RangeOpsTest, LazyFreeMakesOwnAnonymousPagesCleanAndOld) {
  const uint64_t used = kWritableBits | Entry::kDirty | Entry::kAccessed;
  Folio& own = mm_.MapAnon(Page(0), used);
  own.Set(kFolioDirty);
  Folio& shared = mm_.MapAnon(Page(1), used);
  shared.Get();
  mm_.MapFolio(Page(2), shared, used);
  Folio& file = world_.NewFolio(FrameUse::kFile);
  mm_.MapFolio(Page(3), file, used);
  Cache(Page(0));
  mm_.WithGather([&](TlbGather& gather) { LazyFreeRange(tables_, gather, Pages(base_, 8)); });
  EXPECT_EQ(mm_.At(Page(0)), Entry::Of(frames_.PfnOf(own), kWritableBits));
  EXPECT_TRUE(own.Has(kFolioLazyFree) && !own.Has(kFolioDirty));
  EXPECT_FALSE(IsCached(Page(0)));  // a cached dirty entry would let a write go unnoticed
  EXPECT_EQ(mm_.At(Page(1)), Entry::Of(frames_.PfnOf(shared), used));
  EXPECT_FALSE(shared.Has(kFolioLazyFree));
  EXPECT_EQ(mm_.At(Page(3)), Entry::Of(frames_.PfnOf(file), used));
}

// -- Fork
// -----------------------------------------------------------------------------------------------

class CopyTest : public RangeOpsTest {
 protected:
  void Copy(VirtRange range, bool shared) {
    const Result<void> result = mm_.WithGather([&](TlbGather& gather) {
      return CopyRange(child_.tables(), tables_, gather, range, shared);
    });
    ASSERT_TRUE(result.ok());
  }
  TestMm child_{world_};
};

TEST_F(CopyTest, WriteProtectsPrivatePagesOnBothSides) {
  Folio& folio = mm_.MapAnon(base_, kWritableBits | Entry::kDirty | Entry::kAccessed);
  Cache(base_);
  Copy(Pages(base_, 1), /*shared=*/false);
  const Pfn pfn = frames_.PfnOf(folio);
  EXPECT_EQ(mm_.At(base_), Entry::Of(pfn, kReadOnlyBits | Entry::kDirty | Entry::kAccessed));
  EXPECT_EQ(child_.At(base_), Entry::Of(pfn, kReadOnlyBits | Entry::kDirty));
  EXPECT_FALSE(folio.Has(kFolioAnonExclusive));
  EXPECT_EQ(folio.mapcount(), 2);
  EXPECT_EQ(folio.refcount(), 2u);
  EXPECT_FALSE(IsCached(base_));
  EXPECT_EQ(child_.counters().Sum(MmCounter::kAnonPages), 1);
}

TEST_F(CopyTest, SharedPagesStayWritableAndTheChildsAreCleanAndOld) {
  Folio& folio = world_.NewFolio(FrameUse::kFile);
  const uint64_t used = kWritableBits | Entry::kDirty | Entry::kAccessed;
  mm_.MapFolio(base_, folio, used);
  Cache(base_);
  Copy(Pages(base_, 1), /*shared=*/true);
  EXPECT_EQ(mm_.At(base_), Entry::Of(frames_.PfnOf(folio), used));
  EXPECT_EQ(child_.At(base_), Entry::Of(frames_.PfnOf(folio), kWritableBits));
  EXPECT_TRUE(IsCached(base_));
  EXPECT_EQ(folio.mapcount(), 2);
  EXPECT_EQ(child_.counters().Sum(MmCounter::kFilePages), 1);
}

TEST_F(CopyTest, CopiesMarkersAndTheZeroPageUncounted) {
  mm_.SetEntry(Page(0), Entry::Guard());
  mm_.SetEntry(Page(1), Entry::Of(frames_.zero_pfn(), kReadOnlyBits | Entry::kSpecial));
  Copy(Pages(base_, 4), /*shared=*/false);
  EXPECT_TRUE(child_.At(Page(0)).is_guard());
  EXPECT_EQ(child_.At(Page(1)), mm_.At(Page(1)));
  EXPECT_EQ(child_.counters().Rss(), 0);
}

TEST_F(CopyTest, AllocatesNoTablesForHoles) {
  mm_.Populate(base_);
  Copy({base_ - kPmdSize, base_ + (1ull << 32)}, /*shared=*/false);
  EXPECT_EQ(child_.table_count(), 4);
}

// -- Move
// -----------------------------------------------------------------------------------------------

class MoveTest : public RangeOpsTest {
 protected:
  uint64_t Move(VirtAddr from, VirtAddr to, uint64_t pages) {
    TlbGather gather(frames_, world_.heap(), world_.tlbs(), mm_.context());
    const uint64_t moved = MoveRange(tables_, gather, from, to, pages * kPageSize);
    EXPECT_FALSE(IsCached(from));  // flushed inside, not by Finish
    gather.Finish();
    return moved;
  }
};

TEST_F(MoveTest, KeepsEntriesFoliosAndCounts) {
  const uint64_t used = kWritableBits | Entry::kDirty | Entry::kAccessed;
  Folio& folio = mm_.MapAnon(Page(0), used);
  mm_.SetEntry(Page(1), Entry::Guard());
  Cache(Page(0));
  const VirtAddr to = base_ + 5 * kPmdSize - kPageSize;  // into two tables
  EXPECT_EQ(Move(base_, to, 3), 3 * kPageSize);
  EXPECT_TRUE(mm_.At(Page(0)).none() && mm_.At(Page(1)).none());
  EXPECT_EQ(mm_.At(to), Entry::Of(frames_.PfnOf(folio), used));
  EXPECT_TRUE(mm_.At(to + kPageSize).is_guard());
  EXPECT_EQ(folio.mapcount(), 1);
  EXPECT_EQ(folio.refcount(), 1u);
  EXPECT_EQ(mm_.counters().Sum(MmCounter::kAnonPages), 1);
}

TEST_F(MoveTest, MovesWithinOneTable) {
  Folio& folio = mm_.MapAnon(Page(0));
  EXPECT_EQ(Move(base_, Page(100), 10), 10 * kPageSize);
  EXPECT_EQ(mm_.At(Page(100)).pfn(), frames_.PfnOf(folio));
}

TEST_F(MoveTest, AllocatesNothingForHoles) {
  mm_.MapAnon(base_ + kPmdSize);
  const VirtAddr to = base_ + (1ull << 34);
  EXPECT_EQ(Move(base_, to, 4 * kPagesPerPmd), 4 * kPmdSize);
  EXPECT_FALSE(tables_.Descend(to).has_pte_table());
  EXPECT_TRUE(mm_.At(to + kPmdSize).present());
}

// -- Guards
// -----------------------------------------------------------------------------------------------

TEST_F(RangeOpsTest, GuardsReplaceWhatIsThereAndOnlyGuardsAreRemoved) {
  mm_.MapAnon(Page(1));
  Folio& kept = mm_.MapAnon(Page(3));
  Cache(Page(1));
  const Result<void> result = mm_.WithGather(
      [&](TlbGather& gather) { return InstallGuards(tables_, gather, Pages(base_, 3)); });
  ASSERT_TRUE(result.ok());
  for (uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(mm_.At(Page(i)).is_guard()) << i;
  EXPECT_FALSE(IsCached(Page(1)));
  EXPECT_EQ(mm_.counters().Rss(), 1);
  RemoveGuards(tables_, Pages(Page(1), 20));
  EXPECT_TRUE(mm_.At(Page(0)).is_guard());
  EXPECT_TRUE(mm_.At(Page(1)).none() && mm_.At(Page(2)).none());
  EXPECT_EQ(mm_.At(Page(3)).pfn(), frames_.PfnOf(kept));
}

}  // namespace
}  // namespace faultline
