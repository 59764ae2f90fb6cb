// SPDX-License-Identifier: Apache-2.0
//
// Writers that wait for the readers of a VMA, on real threads: a mark and a detachment return when
// the last reader has left and not before, the last reader is the one who wakes them, and while
// they wait nobody else gets in (B18, B19, B22).
//
// That a thread waits is asked of the kernel (test_thread.h), so nothing here depends on time.

#include <atomic>

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "tests/core/sync/test_thread.h"
#include "tests/core/vma/vma_world.h"

namespace faultline {
namespace {

class VmaWriterTest : public testing::Test {
 protected:
  ~VmaWriterTest() override { Rcu::Barrier(); }
  VmaTestOwner& NewOwner(WriteDuties duties) {
    return VmaTestOwner::Make({.heap = heap_, .slab = slab_, .duties = duties});
  }
  /// Expects that `write` waits until the last of two holds is ended by `unlock`, the first of
  /// which does not help.
  template <class Write, class Unlock>
  void ExpectWaitsForBoth(const Write& write, const Unlock& unlock) {
    std::atomic<bool> done = false;
    TestThread writer([&] {
      write();
      done = true;
    });
    writer.AwaitParked();
    unlock();
    writer.AwaitParked();
    EXPECT_FALSE(done);
    unlock();
    writer.Join();
    EXPECT_TRUE(done);
  }

  Arena arena_ = std::move(*Arena::Create(64u << 20));
  Heap heap_{arena_};
  VmaSlab slab_{heap_};
};

TEST_F(VmaWriterTest, AMarkWaitsForTheLastCount) {
  VmaTestOwner& mm = NewOwner(kDutyDrainCounts);
  Vma& vma = mm.MapAlone(0, 4);
  ASSERT_EQ(mm.LockCount(0).vma, &vma);
  ASSERT_EQ(mm.LockCount(1).vma, &vma);
  mm.Begin();
  ExpectWaitsForBoth([&] { mm.Mark(vma); }, [&] { VmaRefcnt::Unlock(vma, mm); });
  EXPECT_TRUE(mm.IsMarked(vma));
  mm.End();
  mm.UnmapAlone(vma);
  mm.Put();
}

TEST_F(VmaWriterTest, AMarkWaitsForTheLastHolderOfTheRwsem) {
  for (const WriteDuties duty : {kDutyPassRwsem, kDutyHoldRwsem}) {
    const RwsemForm form =
        duty == kDutyHoldRwsem ? RwsemForm::kHeldBySection : RwsemForm::kWithSequence;
    VmaTestOwner& mm = NewOwner(duty);
    Vma& vma = mm.MapAlone(0, 4);
    ASSERT_EQ(mm.LockSem(0, form).vma, &vma);
    ASSERT_EQ(mm.LockSem(1, form).vma, &vma);
    mm.Begin();
    ExpectWaitsForBoth([&] { mm.Mark(vma); }, [&] { VmaRwsem::Unlock(vma); });
    EXPECT_NE(mm.LockSem(1, form).reason, LeaveReason::kNone);
    mm.End();
    mm.UnmapAlone(vma);
    mm.Put();
  }
}

TEST_F(VmaWriterTest, WhileAMarkWaitsNobodyElseIsCounted) {
  VmaTestOwner& mm = NewOwner(kDutyDrainCounts);
  Vma& vma = mm.MapAlone(0, 4);
  ASSERT_EQ(mm.LockCount(0).vma, &vma);
  mm.Begin();
  TestThread writer([&] { mm.Mark(vma); });
  writer.AwaitParked();
  EXPECT_FALSE(mm.IsMarked(vma)) << "the writer's bit alone keeps readers out";
  EXPECT_EQ(mm.LockCount(0).reason, LeaveReason::kWriteLocked);
  VmaRefcnt::Unlock(vma, mm);
  writer.Join();
  EXPECT_EQ(mm.LockCount(0).reason, LeaveReason::kWriteLocked);
  mm.End();
  ASSERT_EQ(mm.LockCount(0).vma, &vma);
  VmaRefcnt::Unlock(vma, mm);
  mm.UnmapAlone(vma);
  mm.Put();
}

TEST_F(VmaWriterTest, ADetachmentWaitsForATransientReader) {
  // A reader that has counted and not looked at the mark yet is what a detachment may still meet;
  // here it stays, and the mark does not drain.
  VmaTestOwner& mm = NewOwner(0);
  Vma& vma = mm.MapAlone(0, 4);
  ASSERT_EQ(mm.LockCount(0).vma, &vma);
  ASSERT_EQ(mm.LockCount(1).vma, &vma);
  mm.Begin();
  ExpectWaitsForBoth([&] { mm.Unmap(vma); }, [&] { VmaRefcnt::Unlock(vma, mm); });
  EXPECT_TRUE(vma.is_detached());
  mm.End();
  vma.FreeNow(slab_);
  mm.Put();
}

TEST_F(VmaWriterTest, WhileADetachmentWaitsTheVmaIsGoneForReaders) {
  VmaTestOwner& mm = NewOwner(0);
  Vma& vma = mm.MapAlone(0, 4);
  ASSERT_EQ(mm.LockCount(0).vma, &vma);
  mm.Begin();
  TestThread writer([&] { mm.Unmap(vma); });
  writer.AwaitParked();
  {
    const RcuGuard section;
    StableRef<Vma> ref(&vma);
    EXPECT_NE(VmaRefcnt::TryLock(ref, mm), LeaveReason::kNone);
  }
  EXPECT_EQ(mm.LockCount(0).reason, LeaveReason::kNoVma);
  VmaRefcnt::Unlock(vma, mm);
  writer.Join();
  mm.End();
  vma.FreeNow(slab_);
  mm.Put();
}

TEST_F(VmaWriterTest, ANewVmaIsNotWaitedFor) {
  // Its count is what the slot's last reader of another life may be about to drop.
  VmaTestOwner& mm = NewOwner(kDutyDrainCounts | kDutyPassRwsem);
  mm.Begin();
  Vma& vma = mm.Map(0, 4);
  EXPECT_TRUE(mm.IsMarked(vma));
  mm.End();
  mm.UnmapAlone(vma);
  mm.Put();
}

TEST_F(VmaWriterTest, ReadersAndAWriterExcludeEachOther) {
  constexpr int kReaders = 3;
  constexpr int kRounds = 2000;
  VmaTestOwner& mm = NewOwner(kDutyDrainCounts);
  Vma& vma = mm.MapAlone(0, 4);
  std::atomic<bool> stop = false;
  std::atomic<int> finished = 0;
  RunTogether(kReaders + 1, [&](int thread) {
    if (thread == 0) {
      for (int round = 0; round < kRounds; ++round) {
        mm.Begin();
        mm.Mark(vma);
        vma.SetFlags(0);
        vma.SetFlags(vma_flag::kRead);
        mm.End();
      }
      stop = true;
      return;
    }
    uint32_t misses = 0;
    int held = 0;
    while (!stop || held == 0) {
      const HeldVma found = VmaRefcnt::Lock(mm.tree(), mm, PageAt(1), misses);
      if (found.vma == nullptr) {
        EXPECT_EQ(found.reason, LeaveReason::kWriteLocked);
        continue;
      }
      ++held;
      EXPECT_EQ(found.vma->flags(), vma_flag::kRead);
      VmaRefcnt::Unlock(*found.vma, mm);
    }
    ++finished;
  });
  EXPECT_EQ(finished, kReaders);
  mm.UnmapAlone(vma);
  mm.Put();
}

}  // namespace
}  // namespace faultline
