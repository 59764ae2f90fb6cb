// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/pgtable/tlb_gather.h: nothing is given back before the flush, everything after it,
// with and without memory for batches.

#include "core/pgtable/tlb_gather.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

class TlbGatherTest : public testing::Test {
 protected:
  TlbGatherTest() { world_.heap().SetFailPoints(&points_); }
  ~TlbGatherTest() override { points_.Disarm(); }

  [[nodiscard]] uint64_t free_frames() { return world_.frames().free_frames(); }
  void CacheTranslation(VirtAddr addr, Folio& folio) {
    TlbSet::Access(world_.tlbs(), mm_.context())
        .Insert(PageOf(addr), Entry::Of(world_.frames().PfnOf(folio), 0));
  }
  [[nodiscard]] bool IsCached(VirtAddr addr) {
    return TlbSet::Access(world_.tlbs(), mm_.context()).Find(PageOf(addr)).present();
  }

  FailPoints points_;
  TableWorld world_{{.frames = 16384}};
  TestMm mm_{world_};
};

TEST_F(TlbGatherTest, GivesFoliosBackAfterTheFlushOnly) {
  const VirtAddr addr(0x10000);
  const uint64_t before = free_frames();
  Folio& folio = world_.NewFolio(FrameUse::kAnon);
  CacheTranslation(addr, folio);
  TlbGather gather(world_.frames(), world_.heap(), world_.tlbs(), mm_.context());
  gather.NoteCleared(addr);
  EXPECT_FALSE(gather.AddFolio(folio));
  EXPECT_EQ(free_frames(), before - 1);
  EXPECT_TRUE(IsCached(addr));
  gather.FlushTlb();
  EXPECT_FALSE(IsCached(addr));
  EXPECT_EQ(free_frames(), before - 1);
  gather.FlushNow();
  EXPECT_EQ(free_frames(), before);
  gather.Finish();
  EXPECT_EQ(world_.tlbs().counts().flushes, 1u);  // nothing was noted after the first
}

/// Adds folios until the gather is full or `limit` are in, and says how many are.
uint64_t Fill(TableWorld& world, TlbGather& gather, uint64_t limit) {
  uint64_t added = 0;
  while (added < limit) {
    ++added;
    if (gather.AddFolio(world.NewFolio(FrameUse::kAnon))) break;
  }
  return added;
}

TEST_F(TlbGatherTest, IsFullAtABound) {
  const uint64_t before = free_frames();
  TlbGather gather(world_.frames(), world_.heap(), world_.tlbs(), mm_.context());
  for (int round = 0; round < 2; ++round) {
    const uint64_t added = Fill(world_, gather, before);
    EXPECT_EQ(added, 32u + 16 * 510);
    EXPECT_TRUE(gather.full());
    EXPECT_EQ(free_frames(), before - added);
    gather.FlushNow();
    EXPECT_FALSE(gather.full());
    EXPECT_EQ(free_frames(), before);
  }
  gather.Finish();
}

TEST_F(TlbGatherTest, IsFullEarlyWithoutMemory) {
  const uint64_t before = free_frames();
  for (uint64_t nth = 1; nth <= 16; ++nth) {
    TlbGather gather(world_.frames(), world_.heap(), world_.tlbs(), mm_.context());
    // Modelled, frames with contents come from the heap, too; those of anonymous tag pages do not.
    points_.Arm(nth, FailPoints::Mode::kOnce, 1u << static_cast<uint32_t>(FailSite::kHeap));
    EXPECT_EQ(Fill(world_, gather, before), 32 + (nth - 1) * 510);
    points_.Disarm();
    gather.Finish();
    EXPECT_EQ(free_frames(), before);
  }
}

TEST_F(TlbGatherTest, RetiresTablesInBatchesAndOneByOneWithoutMemory) {
  const uint64_t tables = 1200;
  const VirtRange range = Pages(VirtAddr(0), tables * kPagesPerPmd);
  const uint64_t before = free_frames();
  for (const bool fail : {false, true}) {
    for (uint64_t i = 0; i < tables; ++i) mm_.Populate(VirtAddr(i * kPmdSize));
    if (fail) points_.Arm(2, FailPoints::Mode::kForEver);
    mm_.Free(range, VirtAddr(0), VirtAddr(0));
    EXPECT_EQ(points_.failed() > 0, fail);
    points_.Disarm();
    EXPECT_EQ(mm_.table_count(), 1);
    Rcu::Barrier();
    EXPECT_EQ(free_frames(), before);
  }
}

TEST_F(TlbGatherTest, ATableIsNotGivenBackInsideASectionThatHadBegun) {
  if (kModelled) GTEST_SKIP() << "sections need an execution; see explore_test.cc";
  for (const bool fail : {false, true}) {
    mm_.Populate(VirtAddr(0));
    const uint64_t before = free_frames();
    if (fail) points_.Arm(1, FailPoints::Mode::kForEver);
    {
      const RcuGuard guard;
      mm_.Unmap();
      EXPECT_EQ(free_frames(), before);
    }
    points_.Disarm();
    Rcu::Barrier();
    EXPECT_EQ(free_frames(), before + 3);
  }
}

TEST_F(TlbGatherTest, WhoEndsBesideAnotherFlushesTheWholeMm) {
  const VirtAddr addr(0x10000);
  CacheTranslation(addr, world_.frames().zero_folio());
  TlbGather first(world_.frames(), world_.heap(), world_.tlbs(), mm_.context());
  first.NoteCleared(addr);
  TlbGather second(world_.frames(), world_.heap(), world_.tlbs(), mm_.context());
  second.Finish();  // it found the entry empty, and has nothing of its own to flush
  EXPECT_FALSE(IsCached(addr));
  first.Finish();
  const uint64_t flushes = world_.tlbs().counts().flushes;
  TlbGather alone(world_.frames(), world_.heap(), world_.tlbs(), mm_.context());
  alone.Finish();
  EXPECT_EQ(world_.tlbs().counts().flushes, flushes);
}

TEST_F(TlbGatherTest, AZapWithoutMemoryForBatchesLosesNothing) {
  const uint64_t pages = 1500;
  const uint64_t before = free_frames();
  for (uint64_t nth = 1; nth <= 4; ++nth) {
    for (const auto mode : {FailPoints::Mode::kOnce, FailPoints::Mode::kForEver}) {
      for (uint64_t i = 0; i < pages; ++i) mm_.MapAnon(VirtAddr(kPageSize * (i + 5)));
      points_.Arm(nth, mode, 1u << static_cast<uint32_t>(FailSite::kHeap));
      mm_.Zap(Pages(VirtAddr(0), pages + 10), {.free_empty_tables = true});
      points_.Disarm();
      EXPECT_EQ(mm_.counters().Rss(), 0);
      mm_.Unmap();
      Rcu::Barrier();
      EXPECT_EQ(free_frames(), before);
    }
  }
}

}  // namespace
}  // namespace faultline
