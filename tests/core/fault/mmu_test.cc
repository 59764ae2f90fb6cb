// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/fault/mmu.cc: what the hardware walk allows and marks, when the TLB is enough, and
// what observers see of a page. Bit 61 of the views as /proc/self/pagemap of 6.18 has it.

#include "tests/core/fault/fault_test_base.h"

namespace faultline {
namespace {

class MmuTest : public FaultTestBase {
 protected:
  uint64_t Hits() { return machine_->tlbs().counts().hits; }
};

TEST_F(MmuTest, FaultsOnWhatIsNotMapped) {
  mm_->Map(kBase, 2, kPrivateReadWrite);
  uint64_t word = 1;
  EXPECT_FALSE(MmuLoad(mm_->target(), kBase, word));
  EXPECT_EQ(word, 1u);
  EXPECT_FALSE(MmuStore(mm_->target(), kBase, 2));
  ASSERT_EQ(mm_->Fault(Page(1), kWrite), 0u);  // now with a PTE table
  EXPECT_FALSE(MmuLoad(mm_->target(), kBase, word));
}

TEST_F(MmuTest, LoadsWhatWasStored) {
  mm_->Map(kBase, 2, kPrivateReadWrite);
  mm_->Store(Page(1), 9);
  EXPECT_EQ(mm_->Load(Page(1)), 9u);
  EXPECT_EQ(mm_->Load(Page(0)), 0u);
}

TEST_F(MmuTest, TheZeroPageCanBeReadAndNotWritten) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Fault(kBase, kRead), 0u);
  uint64_t word = 1;
  EXPECT_TRUE(MmuLoad(mm_->target(), kBase, word));
  EXPECT_EQ(word, 0u);
  EXPECT_FALSE(MmuStore(mm_->target(), kBase, 1));
}

TEST_F(MmuTest, MarksAccessedAndOnAStoreDirty) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  TlbGather gather(frames(), heap_, machine_->tlbs(), mm_->target().tlb);
  LazyFreeRange(mm_->tables(), gather, mm_->vma().range());
  gather.Finish();
  ASSERT_FALSE(mm_->EntryAt(kBase).accessed() || mm_->EntryAt(kBase).dirty());

  EXPECT_TRUE(MmuTouch(mm_->target(), kBase, kRead));
  EXPECT_TRUE(mm_->EntryAt(kBase).accessed());
  EXPECT_FALSE(mm_->EntryAt(kBase).dirty());
  // The translation is cached, and clean: the store has to walk, or the dirty bit would be lost.
  EXPECT_TRUE(MmuTouch(mm_->target(), kBase, kWrite));
  EXPECT_TRUE(mm_->EntryAt(kBase).dirty());
}

TEST_F(MmuTest, UsesACachedTranslationWithoutWalking) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  const uint64_t hits = Hits();
  ASSERT_TRUE(MmuTouch(mm_->target(), kBase, kWrite));
  ASSERT_TRUE(MmuTouch(mm_->target(), kBase, kRead));
  EXPECT_EQ(Hits(), hits + 2);
  // Cleared behind the TLB's back: without a flush the CPU does not notice.
  const RcuGuard guard;
  Atomic<uint64_t>& slot = *mm_->tables().FindPte(kBase).slot;
  const uint64_t raw = slot.Exchange(0, kRelaxed);
  EXPECT_TRUE(MmuTouch(mm_->target(), kBase, kWrite));
  machine_->tlbs().Flush(mm_->target().tlb, mm_->vma().range());
  EXPECT_FALSE(MmuTouch(mm_->target(), kBase, kWrite));
  slot.Store(raw, kRelaxed);
  EXPECT_TRUE(MmuTouch(mm_->target(), kBase, kWrite));
}

TEST_F(MmuTest, AFaultDropsTheCachedTranslation) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Load(kBase), 0u);
  const uint64_t hits = Hits();
  ASSERT_FALSE(MmuTouch(mm_->target(), kBase, kWrite));  // found, and not enough
  EXPECT_EQ(Hits(), hits + 1);
  ASSERT_TRUE(MmuTouch(mm_->target(), kBase, kRead));
  EXPECT_EQ(Hits(), hits + 1);
}

TEST_F(MmuTest, ExecNeedsAnExecutableEntry) {
  mm_->Map(Page(0), 1, kPrivateReadWrite);
  mm_->Map(Page(1), 1, kPrivateReadWrite | vma_flag::kExec);
  ASSERT_EQ(mm_->Fault(Page(0), kWrite), 0u);
  ASSERT_EQ(mm_->Fault(Page(1), kWrite), 0u);
  EXPECT_FALSE(MmuTouch(mm_->target(), Page(0), kExec));
  EXPECT_TRUE(MmuTouch(mm_->target(), Page(0), kRead));
  EXPECT_FALSE(MmuTouch(mm_->target(), Page(0), kExec));  // nor with a cached translation
  EXPECT_TRUE(MmuTouch(mm_->target(), Page(1), kExec));
}

TEST_F(MmuTest, NothingIsAllowedByAnEntryWithoutRightsOrAGuard) {
  Vma& vma = mm_->Map(kBase, 2, kPrivateReadWrite);
  ASSERT_EQ(mm_->Fault(Page(0), kWrite), 0u);
  mm_->Protect(vma.range(), LeafBits(false, false, false));
  TlbGather gather(frames(), heap_, machine_->tlbs(), mm_->target().tlb);
  ASSERT_TRUE(InstallGuards(mm_->tables(), gather, VirtRange(Page(1), Page(2))).ok());
  gather.Finish();
  for (const AccessKind access : {kRead, kWrite, kExec}) {
    EXPECT_FALSE(MmuTouch(mm_->target(), Page(0), access));
    EXPECT_FALSE(MmuTouch(mm_->target(), Page(1), access));
  }
}

TEST_F(MmuTest, AForkTakesCachedWriteRightsAway) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  ASSERT_TRUE(MmuStore(mm_->target(), kBase, 2));
  FaultMm& child = Fork();
  EXPECT_FALSE(MmuStore(mm_->target(), kBase, 3));
  mm_->Store(kBase, 3);
  EXPECT_EQ(child.Load(kBase), 2u);
}

TEST_F(MmuTest, TwoMmsDoNotUseEachOthersTranslations) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  FaultMm& child = Fork();
  mm_->Store(kBase, 1);
  child.Store(kBase, 2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(mm_->Load(kBase), 1u);
    EXPECT_EQ(child.Load(kBase), 2u);
  }
}

class ViewPageTest : public FaultTestBase {
 protected:
  PageView View(VirtAddr page) { return ViewPage(mm_->target(), page); }
};

TEST_F(ViewPageTest, AnUntouchedPageIsAbsent) {
  mm_->Map(kBase, 2, kPrivateReadWrite);
  EXPECT_FALSE(View(kBase).present);
  ASSERT_EQ(mm_->Fault(Page(1), kRead), 0u);
  EXPECT_FALSE(View(kBase).present);
  EXPECT_FALSE(View(kBase).guard);
}

TEST_F(ViewPageTest, TheZeroPageIsPresentAndNotOfAFile) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Fault(kBase, kRead), 0u);
  EXPECT_TRUE(View(kBase).present);
  EXPECT_FALSE(View(kBase).file_or_shared);
  EXPECT_EQ(View(kBase).word, 0u);
}

TEST_F(ViewPageTest, AnAnonymousPageShowsItsWordAndIsNotTouched) {
  Vma& vma = mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 6);
  mm_->Protect(vma.range(), LeafBits(false, false, false));
  const Entry before = mm_->EntryAt(kBase);
  EXPECT_TRUE(View(kBase).present);  // without rights it is resident all the same
  EXPECT_FALSE(View(kBase).file_or_shared);
  EXPECT_EQ(View(kBase).word, 6u);
  EXPECT_EQ(mm_->EntryAt(kBase), before);
}

TEST_F(ViewPageTest, APageOfAFileIsOneInAPrivateMappingToo) {
  mm_->Map(kBase, 2, kPrivateReadWrite, &File());
  machine_->Fill(File(), 0, 4);
  ASSERT_EQ(mm_->Fault(Page(0), kRead), 0u);
  EXPECT_TRUE(View(Page(0)).file_or_shared);
  EXPECT_EQ(View(Page(0)).word, 4u);
  ASSERT_EQ(mm_->Fault(Page(0), kWrite), 0u);
  EXPECT_FALSE(View(Page(0)).file_or_shared);
}

TEST_F(ViewPageTest, AGuardIsSeenAsOne) {
  Vma& vma = mm_->Map(kBase, 1, kPrivateReadWrite);
  TlbGather gather(frames(), heap_, machine_->tlbs(), mm_->target().tlb);
  ASSERT_TRUE(InstallGuards(mm_->tables(), gather, vma.range()).ok());
  gather.Finish();
  EXPECT_TRUE(View(kBase).guard);
  EXPECT_FALSE(View(kBase).present);
}

}  // namespace
}  // namespace faultline
