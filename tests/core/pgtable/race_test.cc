// SPDX-License-Identifier: Apache-2.0
//
// Page tables under real threads: the same tables allocated by many, zaps that free tables beside
// faults, and translations that must not outlive a flush. Also run under ThreadSanitizer, whose
// business the memory orders are; explore_test.cc has the same situations under every schedule.

#include <atomic>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/pgtable/table_world.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

constexpr int kThreads = 4;

/// Allocates tables for `addr` and calls change(LockedPte&) with its entry locked.
template <class Change>
void WithPte(TestMm& mm, VirtAddr addr, const Change& change) {
  PageTables& tables = mm.tables();
  while (true) {
    const EntryRef pmd = *tables.AllocPmd(addr, Gfp::kKernel);
    MM_CHECK(tables.AllocPte(pmd, Gfp::kKernel).ok());
    LockedPte pte(tables, pmd, addr);
    if (!pte) continue;
    change(pte);
    return;
  }
}

TEST(PageTablesRaceTest, AllWhoFillOneEmptyEntryGoOnWithTheSameTable) {
  TableWorld world({.cpus = kThreads});
  const VirtAddr base(0x1234'4000'0000 - kPageSize * kThreads);
  for (int round = 0; round < StressRounds(300); ++round) {
    TestMm mm(world, round % 2 == 0 ? 4 : 5);
    RunTogether(kThreads, [&](int i) {
      for (uint64_t page = 0; page < 2; ++page) {
        const VirtAddr addr = base + (page * kThreads + static_cast<uint64_t>(i)) * kPageSize;
        WithPte(mm, addr, [&](LockedPte& pte) {
          MM_CHECK(pte.Load().none());
          pte.Store(Entry::Of(world.frames().zero_pfn(), Entry::kSpecial));
        });
      }
    });
    for (uint64_t i = 0; i < uint64_t{2} * kThreads; ++i) {
      ASSERT_TRUE(mm.At(base + i * kPageSize).present());
    }
    ASSERT_EQ(mm.table_count(), round % 2 == 0 ? 6 : 7);
    mm.tables().Validate();
  }
}

TEST(PageTablesRaceTest, ZapsThatFreeTablesLoseNoPageOfAFault) {
  TableWorld world({.cpus = kThreads});
  TestMm mm(world);
  const VirtAddr base(3 * kPmdSize);
  const VirtRange range(base, base + 2 * kPmdSize);
  RunTogether(kThreads, [&](int i) {
    std::minstd_rand random(static_cast<uint32_t>(i) + 1);
    for (int round = 0; round < StressRounds(1000); ++round) {
      if (i == 0) {
        mm.Zap(range, {.free_empty_tables = true});
        continue;
      }
      const VirtAddr addr = base + random() % (2 * kPagesPerPmd) * kPageSize;
      Folio& folio = world.NewFolio(FrameUse::kAnon);
      bool used = false;
      WithPte(mm, addr, [&](LockedPte& pte) {
        if (!pte.Load().none()) return;
        folio.AddMapping();
        mm.counters().Add(MmCounter::kAnonPages, 1);
        pte.Store(Entry::Of(world.frames().PfnOf(folio), kWritableBits));
        used = true;
      });
      if (!used) world.frames().Put(folio);
      const RcuGuard guard;
      const Entry seen = mm.At(addr);  // as the MMU walks
      MM_CHECK(seen.none() || seen.present());
    }
  });
}

TEST(TlbRaceTest, NoAccessUsesATranslationAfterTheFlush) {
  TableWorld world({.cpus = kThreads});
  const VirtAddr addr(5 * kPmdSize);
  TestMm mm(world);
  std::atomic<bool> stop{false};
  // Each folio that is mapped holds its own pfn as long as an access may reach it, and 0 behind.
  RunTogether(kThreads, [&](int i) {
    FrameAllocator& frames = world.frames();
    if (i != 0) {
      while (!stop.load()) {
        TlbSet::Access access(world.tlbs(), mm.context());
        Entry entry = access.Find(PageOf(addr));
        if (entry.none()) {
          const RcuGuard guard;
          entry = mm.At(addr);
          if (entry.present()) access.Insert(PageOf(addr), entry);
        }
        if (!entry.present()) continue;
        MM_CHECK_EQ(frames.LoadWord(frames.FolioOf(entry.pfn()), 0), entry.pfn().value());
      }
      return;
    }
    for (int round = 0; round < StressRounds(1000); ++round) {
      Folio& folio = world.NewFolio(FrameUse::kAnon);
      frames.StoreWord(folio, 0, frames.PfnOf(folio).value());
      folio.Get();
      mm.MapFolio(addr, folio, kWritableBits);
      mm.Zap(Pages(addr, 1), {.free_empty_tables = round % 2 == 0});
      frames.StoreWord(folio, 0, 0);
      frames.Put(folio);
    }
    stop.store(true);
  });
  EXPECT_GT(world.tlbs().counts().flushes, 0u);
}

}  // namespace
}  // namespace faultline
