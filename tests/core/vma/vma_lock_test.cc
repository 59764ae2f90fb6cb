// SPDX-License-Identifier: Apache-2.0
//
// The locks of a VMA step by step, by one task, in both flavours: what each look of a reader says
// and leaves behind (B16), what a mark does for each kind of reader (B18), the sequence that only
// grows (B21), and a mm's sequence near its ends.
//
// That a refused reader has left no count behind is shown by a writer: it would wait for ever.

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "tests/core/vma/vma_world.h"

namespace faultline {
namespace {

class VmaLockTest : public testing::Test {
 protected:
  ~VmaLockTest() override {
    for (VmaTestOwner* owner : owners_) owner->Put();
    Rcu::Barrier();
  }
  VmaTestOwner& NewOwner(WriteDuties duties, uint64_t first_sequence = 0) {
    VmaTestOwner& owner = VmaTestOwner::Make(
        {.heap = heap_, .slab = slab_, .duties = duties, .first_sequence = first_sequence});
    owners_.push_back(&owner);
    return owner;
  }
  static LeaveReason TryCount(Vma& vma, VmaOwner& mm) {
    const RcuGuard section;
    StableRef<Vma> ref(&vma);
    return VmaRefcnt::TryLock(ref, mm);
  }

  Arena arena_ = std::move(*Arena::Create(64u << 20));
  Heap heap_{arena_};
  VmaSlab slab_{heap_};
  std::vector<VmaTestOwner*> owners_;
};

// -- The count ------------------------------------------------------------------------------------

class VmaRefcntTest : public VmaLockTest {
 protected:
  VmaTestOwner& mm_ = NewOwner(kDutyDrainCounts | kDutyBumpVma);
};

TEST_F(VmaRefcntTest, AReaderFindsAndHoldsTheVmaAtAnAddress) {
  Vma& vma = mm_.MapAlone(0, 4);
  const HeldVma held = mm_.LockCount(3);
  EXPECT_EQ(held.vma, &vma);
  EXPECT_EQ(held.reason, LeaveReason::kNone);
  EXPECT_EQ(mm_.misses, 0u);
  VmaRefcnt::Unlock(vma, mm_);
  mm_.UnmapAlone(vma);
}

TEST_F(VmaRefcntTest, ReadersShareAVma) {
  Vma& vma = mm_.MapAlone(0, 4);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(mm_.LockCount(1).vma, &vma);
  for (int i = 0; i < 3; ++i) VmaRefcnt::Unlock(vma, mm_);
  mm_.UnmapAlone(vma);
}

TEST_F(VmaRefcntTest, NothingAtTheAddressIsNoVma) {
  Vma& vma = mm_.MapAlone(0, 4);
  EXPECT_EQ(mm_.LockCount(4).reason, LeaveReason::kNoVma);
  EXPECT_EQ(mm_.LockCount(4).vma, nullptr);
  mm_.UnmapAlone(vma);
}

TEST_F(VmaRefcntTest, ADetachedVmaCannotBeCounted) {
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.Begin();
  mm_.Unmap(vma);
  mm_.End();
  EXPECT_TRUE(vma.is_detached());
  EXPECT_EQ(TryCount(vma, mm_), LeaveReason::kDetached);
  vma.FreeNow(slab_);
}

TEST_F(VmaRefcntTest, AFreedSlotCannotBeCounted) {
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.UnmapAlone(vma);
  EXPECT_EQ(TryCount(vma, mm_), LeaveReason::kDetached);
}

TEST_F(VmaRefcntTest, ASlotRecycledForAnotherMmIsLeftAsItWas) {
  VmaTestOwner& other = NewOwner(kDutyDrainCounts | kDutyBumpVma);
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.UnmapAlone(vma);
  Vma& recycled = other.MapAlone(0, 4);
  ASSERT_EQ(&recycled, &vma);
  EXPECT_EQ(TryCount(vma, mm_), LeaveReason::kOtherMm);
  EXPECT_EQ(TryCount(vma, other), LeaveReason::kNone);
  VmaRefcnt::Unlock(vma, other);
  other.UnmapAlone(recycled);
}

TEST_F(VmaRefcntTest, TheOtherMmIsToldBeforeItsMarkIsLookedAt) {
  // The other mm is in a section of the same number: its mark says nothing to us.
  VmaTestOwner& other = NewOwner(kDutyDrainCounts);
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.UnmapAlone(vma);
  Vma& recycled = other.MapAlone(0, 4);
  other.Begin();
  other.Mark(recycled);
  EXPECT_EQ(TryCount(vma, mm_), LeaveReason::kOtherMm);
  other.End();
  other.UnmapAlone(recycled);
}

TEST_F(VmaRefcntTest, AVmaThatDoesNotReachTheAddressAnyMoreIsRangeMoved) {
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.Begin();
  mm_.Mark(vma);
  vma.SetRange(PageRange(0, 2), PageIndex(0));
  mm_.End();
  EXPECT_EQ(mm_.LockCount(3).reason, LeaveReason::kRangeMoved);
  const HeldVma held = mm_.LockCount(1);
  EXPECT_EQ(held.vma, &vma);
  VmaRefcnt::Unlock(vma, mm_);
  mm_.Begin();
  mm_.Mark(vma);
  vma.SetRange(PageRange(0, 4), PageIndex(0));
  mm_.End();
  mm_.UnmapAlone(vma);
}

TEST_F(VmaRefcntTest, AMarkedVmaIsWriteLockedUntilTheSectionEnds) {
  Vma& vma = mm_.MapAlone(0, 4);
  Vma& beside = mm_.MapAlone(8, 1);
  mm_.Begin();
  EXPECT_EQ(mm_.LockCount(1).vma, &vma);  // not marked yet
  VmaRefcnt::Unlock(vma, mm_);
  mm_.Mark(vma);
  EXPECT_TRUE(mm_.IsMarked(vma));
  EXPECT_EQ(mm_.LockCount(1).reason, LeaveReason::kWriteLocked);
  EXPECT_EQ(mm_.LockCount(8).vma, &beside);
  VmaRefcnt::Unlock(beside, mm_);
  mm_.End();
  EXPECT_FALSE(vma.lock_sequence() == mm_.sequence().value());
  EXPECT_EQ(mm_.LockCount(1).vma, &vma);
  VmaRefcnt::Unlock(vma, mm_);
  mm_.UnmapAlone(beside);
  mm_.UnmapAlone(vma);
}

TEST_F(VmaRefcntTest, ANewVmaIsWriteLockedUntilItsSectionEnds) {
  mm_.Begin();
  Vma& vma = mm_.Map(0, 4);
  EXPECT_EQ(mm_.LockCount(1).reason, LeaveReason::kWriteLocked);
  mm_.End();
  EXPECT_EQ(mm_.LockCount(1).vma, &vma);
  VmaRefcnt::Unlock(vma, mm_);
  mm_.UnmapAlone(vma);
}

TEST_F(VmaRefcntTest, MarkingTwiceIsOnce) {
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.Begin();
  const uint64_t before = vma.sequence();
  mm_.Mark(vma);
  const uint64_t once = vma.sequence();
  mm_.Mark(vma);
  EXPECT_EQ(once, before + 1);
  EXPECT_EQ(vma.sequence(), once);
  mm_.End();
  mm_.UnmapAlone(vma);
}

// -- The sequence ---------------------------------------------------------------------------------

TEST_F(VmaRefcntTest, TheSequenceGrowsWithEachStepOfALifeAndOverReuse) {
  VmaTestOwner& other = NewOwner(kDutyDrainCounts | kDutyBumpVma);
  Vma* slot = nullptr;
  uint64_t last = 0;
  const auto grew = [&](const Vma& vma) {
    const bool is_greater = vma.sequence() > last;
    last = vma.sequence();
    return is_greater;
  };
  for (VmaTestOwner* owner : {&mm_, &mm_, &other, &mm_}) {
    owner->Begin();
    Vma& vma = owner->Map(0, 4);  // marks it and attaches it
    if (slot == nullptr) slot = &vma;
    ASSERT_EQ(&vma, slot) << "the slot was not reused";
    EXPECT_TRUE(grew(vma));
    owner->End();
    EXPECT_TRUE(grew(vma)) << "it is even again";
    owner->Begin();
    owner->Mark(vma);
    EXPECT_TRUE(grew(vma));
    EXPECT_EQ(last % 2, 1u) << "odd while it is marked";
    owner->End();
    EXPECT_TRUE(grew(vma));
    owner->Begin();
    owner->Unmap(vma);
    EXPECT_TRUE(grew(vma));
    owner->End();
    EXPECT_TRUE(grew(vma));
    vma.FreeNow(slab_);
    EXPECT_EQ(slot->sequence(), last) << "giving it back is no change";
    EXPECT_EQ(last % 2, 0u);
  }
}

TEST_F(VmaRefcntTest, AttachmentAndDetachmentCountWithoutTheDutyToo) {
  VmaTestOwner& plain = NewOwner(kDutyDrainCounts);
  plain.Begin();
  Vma& vma = plain.Map(0, 4);
  const uint64_t attached = vma.sequence();
  EXPECT_GT(attached, 0u);
  plain.End();
  plain.Begin();
  plain.Mark(vma);
  EXPECT_EQ(vma.sequence(), attached);
  plain.Unmap(vma);
  EXPECT_EQ(vma.sequence(), attached + 2);
  plain.End();
  vma.FreeNow(slab_);
}

// -- The rwsem ------------------------------------------------------------------------------------

/// The duty that belongs to a form.
WriteDuties DutyOf(RwsemForm form) {
  return form == RwsemForm::kHeldBySection ? kDutyHoldRwsem : kDutyPassRwsem;
}

class VmaRwsemTest : public VmaLockTest, public testing::WithParamInterface<RwsemForm> {
 protected:
  HeldVma Lock(uint64_t page) { return mm_.LockSem(page, GetParam()); }
  LeaveReason RefusalOfMarked() const {
    return GetParam() == RwsemForm::kHeldBySection ? LeaveReason::kContended
                                                   : LeaveReason::kWriteLocked;
  }
  VmaTestOwner& mm_ = NewOwner(DutyOf(GetParam()));
};

TEST_P(VmaRwsemTest, ReadersFindAndShareTheVma) {
  Vma& vma = mm_.MapAlone(0, 4);
  EXPECT_EQ(Lock(0).vma, &vma);
  EXPECT_EQ(Lock(3).vma, &vma);
  VmaRwsem::Unlock(vma);
  VmaRwsem::Unlock(vma);
  EXPECT_EQ(Lock(4).reason, LeaveReason::kNoVma);
  mm_.UnmapAlone(vma);
}

TEST_P(VmaRwsemTest, AMarkKeepsReadersOutUntilTheSectionEnds) {
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.Begin();
  EXPECT_EQ(Lock(1).vma, &vma);  // not marked yet
  VmaRwsem::Unlock(vma);
  mm_.Mark(vma);
  mm_.Mark(vma);  // twice is once: an rwsem taken twice would never come
  EXPECT_EQ(Lock(1).reason, RefusalOfMarked());
  mm_.End();
  EXPECT_EQ(Lock(1).vma, &vma);
  VmaRwsem::Unlock(vma);
  mm_.UnmapAlone(vma);
}

TEST_P(VmaRwsemTest, AnyNumberOfVmasIsMarkedAtOnce) {
  // More than lockdep's chain of held locks has room for.
  constexpr uint64_t kVmas = 200;
  std::array<Vma*, kVmas> vmas{};
  for (uint64_t i = 0; i < kVmas; ++i) vmas[i] = &mm_.MapAlone(2 * i, 1);
  mm_.Begin();
  for (Vma* vma : vmas) mm_.Mark(*vma);
  for (uint64_t i = 0; i < kVmas; ++i) EXPECT_EQ(Lock(2 * i).reason, RefusalOfMarked());
  mm_.End();
  for (uint64_t i = 0; i < kVmas; ++i) {
    EXPECT_EQ(Lock(2 * i).vma, vmas[i]);
    VmaRwsem::Unlock(*vmas[i]);
  }
  mm_.Begin();
  for (Vma* vma : vmas) mm_.Unmap(*vma);
  mm_.End();
  for (Vma* vma : vmas) vma->FreeNow(slab_);
}

TEST_P(VmaRwsemTest, AVmaThatDoesNotReachTheAddressAnyMoreIsRangeMoved) {
  Vma& vma = mm_.MapAlone(0, 4);
  mm_.Begin();
  mm_.Mark(vma);
  vma.SetRange(PageRange(0, 2), PageIndex(0));
  mm_.End();
  EXPECT_EQ(Lock(3).reason, LeaveReason::kRangeMoved);
  mm_.Begin();
  mm_.Mark(vma);  // the refused reader is not inside
  vma.SetRange(PageRange(0, 4), PageIndex(0));
  mm_.End();
  mm_.UnmapAlone(vma);
}

TEST_P(VmaRwsemTest, UnderMmapLockItIsTakenWithoutLooking) {
  Vma& vma = mm_.MapAlone(0, 4);
  VmaRwsem::LockUnderMmapLock(vma);
  EXPECT_EQ(Lock(1).vma, &vma);
  VmaRwsem::Unlock(vma);
  VmaRwsem::Unlock(vma);
  mm_.UnmapAlone(vma);
}

INSTANTIATE_TEST_SUITE_P(Forms, VmaRwsemTest,
                         testing::Values(RwsemForm::kHeldBySection, RwsemForm::kWithSequence),
                         [](const auto& form) {
                           return form.param == RwsemForm::kHeldBySection ? "HeldBySection"
                                                                          : "WithSequence";
                         });

// -- The ends of the mm's sequence ----------------------------------------------------------------

/// Where a mm's sequence begins: each crosses its border within the test.
class SequenceBorderTest : public VmaLockTest, public testing::WithParamInterface<uint64_t> {};

TEST_P(SequenceBorderTest, MarksHoldUntilTheirSectionEndsAndNoLonger) {
  VmaTestOwner& mm = NewOwner(kDutyDrainCounts | kDutyBumpVma | kDutyPassRwsem, GetParam());
  constexpr auto kForm = RwsemForm::kWithSequence;
  Vma& vma = mm.MapAlone(0, 4);
  Vma& untouched = mm.MapAlone(8, 1);
  for (int section = 0; section < 4; ++section) {
    mm.Begin();
    mm.Mark(vma);
    EXPECT_EQ(mm.LockCount(1).reason, LeaveReason::kWriteLocked);
    EXPECT_EQ(mm.LockSem(1, kForm).reason, LeaveReason::kWriteLocked);
    EXPECT_EQ(mm.LockCount(8).vma, &untouched) << "a mark that never was";
    VmaRefcnt::Unlock(untouched, mm);
    mm.End();
    EXPECT_EQ(mm.LockCount(1).vma, &vma);
    VmaRefcnt::Unlock(vma, mm);
    EXPECT_EQ(mm.LockSem(1, kForm).vma, &vma);
    VmaRwsem::Unlock(vma);
  }
  mm.UnmapAlone(untouched);
  mm.UnmapAlone(vma);
}

TEST_P(SequenceBorderTest, ANoteOfTheSequenceStaysComparable) {
  VmaTestOwner& mm = NewOwner(kDutyDrainCounts, GetParam());
  uint64_t note = 0;
  ASSERT_TRUE(mm.sequence().TryReadBegin(note));
  EXPECT_FALSE(mm.sequence().ReadRetry(note));
  for (int section = 0; section < 4; ++section) {
    mm.Begin();
    EXPECT_TRUE(mm.sequence().ReadRetry(note));
    uint64_t other = 0;
    EXPECT_FALSE(mm.sequence().TryReadBegin(other));
    mm.End();
    EXPECT_TRUE(mm.sequence().ReadRetry(note));
  }
}

INSTANTIATE_TEST_SUITE_P(Borders, SequenceBorderTest,
                         testing::Values((1ull << 31) - 4, (1ull << 32) - 4, (1ull << 33) - 4,
                                         (1ull << 63) - 4, UINT64_MAX - 5),
                         [](const auto& test) { return "From" + std::to_string(test.param); });

class LastSectionTest : public VmaLockTest, public testing::WithParamInterface<WriteDuties> {};

TEST_P(LastSectionTest, AVmaMadeInTheLastSectionOfAllIsLockedInIt) {
  // The section's number is the greatest there is. That a VMA counts as marked which is not may
  // happen then, that it is open to readers while it is being made must not.
  VmaTestOwner& mm = NewOwner(GetParam(), UINT64_MAX - 1);
  mm.Begin();
  ASSERT_EQ(mm.sequence().value(), UINT64_MAX);
  Vma& vma = mm.Map(0, 4);
  if ((GetParam() & kDutyHoldRwsem) != 0) {
    EXPECT_EQ(mm.LockSem(1, RwsemForm::kHeldBySection).reason, LeaveReason::kContended);
  } else {
    EXPECT_EQ(mm.LockCount(1).reason, LeaveReason::kWriteLocked);
    EXPECT_EQ(mm.LockSem(1, RwsemForm::kWithSequence).reason, LeaveReason::kWriteLocked);
  }
  EXPECT_EQ(vma.sequence(), (GetParam() & kDutyBumpVma) != 0 ? 3u : 2u) << "marked and attached";
  mm.End();
  EXPECT_EQ(mm.LockCount(1).vma, &vma);
  VmaRefcnt::Unlock(vma, mm);
  mm.UnmapAlone(vma);
}

INSTANTIATE_TEST_SUITE_P(Duties, LastSectionTest,
                         testing::Values(kDutyDrainCounts | kDutyPassRwsem,
                                         kDutyDrainCounts | kDutyPassRwsem | kDutyBumpVma,
                                         kDutyDrainCounts | kDutyHoldRwsem),
                         [](const auto& test) { return "Set" + std::to_string(test.param); });

}  // namespace
}  // namespace faultline
