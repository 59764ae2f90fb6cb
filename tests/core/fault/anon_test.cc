// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/fault/anon.cc and handle_fault.cc: faults on anonymous memory, on what is already
// there, and on guard markers; references, mappings and counters after each.

#include "tests/core/fault/fault_test_base.h"

namespace faultline {
namespace {

class AnonFaultTest : public FaultTestBase {};

TEST(AccessAllowedTest, AnyRightMakesReadableAndTheOthersNeedTheirOwn) {
  for (const VmaFlags flags : {vma_flag::kRead, vma_flag::kWrite, vma_flag::kExec}) {
    EXPECT_TRUE(AccessAllowed(flags, AccessKind::kRead));
    EXPECT_EQ(AccessAllowed(flags, AccessKind::kWrite), flags == vma_flag::kWrite);
    EXPECT_EQ(AccessAllowed(flags, AccessKind::kExec), flags == vma_flag::kExec);
  }
  EXPECT_FALSE(AccessAllowed(kMayAll, AccessKind::kRead));
}

TEST_F(AnonFaultTest, ReadMapsTheZeroPageAndCountsNothing) {
  Vma& vma = mm_->Map(kBase, 4, kPrivateReadWrite);
  EXPECT_EQ(mm_->Fault(Page(1) + 123, kRead), 0u);
  EXPECT_EQ(mm_->EntryAt(Page(1)),
            Young(frames().zero_folio(), Entry::kUser | Entry::kNoExec | Entry::kSpecial));
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 0);
  EXPECT_EQ(frames().zero_folio().mapcount(), 0);
  EXPECT_EQ(vma.anon_vma(), nullptr);
  EXPECT_TRUE(mm_->EntryAt(Page(0)).none());
}

TEST_F(AnonFaultTest, WriteMapsAFolioOfZeroesThatBelongsToTheVma) {
  Vma& vma = mm_->Map(kBase, 4, kPrivateReadWrite);
  EXPECT_EQ(mm_->Fault(Page(2), kWrite), 0u);
  Folio& folio = mm_->FolioAt(Page(2));
  EXPECT_EQ(mm_->EntryAt(Page(2)),
            Young(folio, Entry::kUser | Entry::kNoExec | Entry::kWrite | Entry::kDirty));
  EXPECT_EQ(folio.use(), FrameUse::kAnon);
  EXPECT_EQ(folio.refcount(), 1u);
  EXPECT_EQ(folio.mapcount(), 1);
  EXPECT_TRUE(folio.Has(kFolioAnonExclusive));
  ASSERT_NE(vma.anon_vma(), nullptr);
  EXPECT_EQ(folio.owner().anon_vma.Peek(), vma.anon_vma());
  EXPECT_EQ(folio.owner().index.Peek(), vma.IndexOf(Page(2)).value());
  EXPECT_EQ(WordOf(folio), 0u);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
  EXPECT_EQ(mm_->Count(MmCounter::kTables), 4);
}

TEST_F(AnonFaultTest, ExecutableMemoryHasExecutableEntries) {
  mm_->Map(kBase, 2, kPrivateReadWrite | vma_flag::kExec);
  EXPECT_EQ(mm_->Fault(Page(0), kExec), 0u);
  EXPECT_FALSE(mm_->EntryAt(Page(0)).no_exec());
  EXPECT_EQ(mm_->Fault(Page(1), kWrite), 0u);
  EXPECT_FALSE(mm_->EntryAt(Page(1)).no_exec());
}

TEST_F(AnonFaultTest, WriteAfterReadReplacesTheZeroPage) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  EXPECT_EQ(mm_->Load(kBase), 0u);
  mm_->Store(kBase, 7);
  EXPECT_EQ(mm_->Load(kBase), 7u);
  Folio& folio = mm_->FolioAt(kBase);
  EXPECT_EQ(folio.use(), FrameUse::kAnon);
  EXPECT_EQ(folio.refcount(), 1u);
  EXPECT_EQ(folio.mapcount(), 1);
  EXPECT_FALSE(mm_->EntryAt(kBase).special());
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
}

TEST_F(AnonFaultTest, FaultOnWhatIsThereMarksItAndChangesNothingElse) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Fault(kBase, kWrite), 0u);
  const Entry before = mm_->EntryAt(kBase);
  TlbGather gather(frames(), heap_, machine_->tlbs(), mm_->target().tlb);
  LazyFreeRange(mm_->tables(), gather, mm_->vma().range());
  gather.Finish();
  ASSERT_FALSE(mm_->EntryAt(kBase).accessed());
  EXPECT_EQ(mm_->Fault(kBase, kRead), 0u);
  EXPECT_EQ(mm_->EntryAt(kBase), before.Without(Entry::kDirty));
  EXPECT_EQ(mm_->Fault(kBase, kWrite), 0u);
  EXPECT_EQ(mm_->EntryAt(kBase), before);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
}

TEST_F(AnonFaultTest, EntryOlderThanTheProtectionIsLoosened) {
  Vma& vma = mm_->Map(kBase, 1, kPrivateReadWrite | vma_flag::kExec);
  ASSERT_EQ(mm_->Fault(kBase, kWrite), 0u);
  mm_->Protect(vma.range(), LeafBits(/*accessible=*/false, false, false));
  ASSERT_TRUE(mm_->EntryAt(kBase).prot_none());
  EXPECT_EQ(mm_->Fault(kBase, kExec), 0u);
  EXPECT_FALSE(mm_->EntryAt(kBase).prot_none());
  EXPECT_FALSE(mm_->EntryAt(kBase).no_exec());
  EXPECT_FALSE(mm_->EntryAt(kBase).writable());
}

TEST_F(AnonFaultTest, WriteAfterWriteProtectReusesTheExclusivePage) {
  Vma& vma = mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Fault(kBase, kWrite), 0u);
  Folio& folio = mm_->FolioAt(kBase);
  mm_->Protect(vma.range(), LeafBits(true, false, false));
  ASSERT_FALSE(mm_->EntryAt(kBase).writable());
  EXPECT_EQ(mm_->Fault(kBase, kWrite), 0u);
  EXPECT_EQ(mm_->EntryAt(kBase),
            Young(folio, Entry::kUser | Entry::kNoExec | Entry::kWrite | Entry::kDirty));
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
}

TEST_F(AnonFaultTest, GuardMarkerIsASegfaultForEveryAccess) {
  Vma& vma = mm_->Map(kBase, 1, kPrivateReadWrite | vma_flag::kExec);
  TlbGather gather(frames(), heap_, machine_->tlbs(), mm_->target().tlb);
  ASSERT_TRUE(InstallGuards(mm_->tables(), gather, vma.range()).ok());
  gather.Finish();
  for (const AccessKind access : {kRead, kWrite, kExec}) {
    EXPECT_EQ(mm_->Fault(kBase, access), fault_bit::kSigsegv);
  }
  EXPECT_TRUE(mm_->EntryAt(kBase).is_guard());
  EXPECT_EQ(vma.anon_vma(), nullptr);
}

TEST_F(AnonFaultTest, IsMappedForAsksTheEntry) {
  mm_->Map(kBase, 2, kPrivateReadWrite);
  EXPECT_FALSE(IsMappedFor(mm_->target(), {Page(0), kRead}));
  ASSERT_EQ(mm_->Fault(Page(0), kRead), 0u);
  EXPECT_TRUE(IsMappedFor(mm_->target(), {Page(0), kRead}));
  EXPECT_FALSE(IsMappedFor(mm_->target(), {Page(0), kWrite}));
  EXPECT_FALSE(IsMappedFor(mm_->target(), {Page(0), kExec}));
  EXPECT_FALSE(IsMappedFor(mm_->target(), {Page(1), kRead}));
  ASSERT_EQ(mm_->Fault(Page(0), kWrite), 0u);
  EXPECT_TRUE(IsMappedFor(mm_->target(), {Page(0), kWrite}));
  mm_->Protect(mm_->vma().range(), LeafBits(false, false, false));
  EXPECT_FALSE(IsMappedFor(mm_->target(), {Page(0), kRead}));
}

}  // namespace
}  // namespace faultline
