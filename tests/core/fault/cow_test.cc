// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/fault/cow.cc: what fork shares and writes part again, private copies of file pages,
// and pages of shared mappings that had lost write permission.

#include "tests/core/fault/fault_test_base.h"

namespace faultline {
namespace {

class CopyOnWriteTest : public FaultTestBase {};

TEST_F(CopyOnWriteTest, ChildWritesIntoACopyAndTheParentKeepsThePage) {
  mm_->Map(kBase, 2, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  Folio& shared = mm_->FolioAt(kBase);
  FaultMm& child = Fork();
  ASSERT_EQ(&child.FolioAt(kBase), &shared);
  EXPECT_EQ(shared.refcount(), 2u);
  EXPECT_EQ(shared.mapcount(), 2);
  EXPECT_FALSE(shared.Has(kFolioAnonExclusive));

  child.Store(kBase, 2);
  Folio& copy = child.FolioAt(kBase);
  EXPECT_NE(&copy, &shared);
  EXPECT_EQ(copy.refcount(), 1u);
  EXPECT_EQ(copy.mapcount(), 1);
  EXPECT_EQ(copy.owner().anon_vma.Peek(), child.vma().anon_vma());
  EXPECT_EQ(shared.refcount(), 1u);
  EXPECT_EQ(shared.mapcount(), 1);
  EXPECT_EQ(mm_->Load(kBase), 1u);
  EXPECT_EQ(child.Load(kBase), 2u);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
  EXPECT_EQ(child.Count(MmCounter::kAnonPages), 1);
}

TEST_F(CopyOnWriteTest, ACopyHasTheContentsOfThePage) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 5);
  FaultMm& child = Fork();
  ASSERT_EQ(child.Fault(kBase, kWrite), 0u);
  EXPECT_NE(&child.FolioAt(kBase), &mm_->FolioAt(kBase));
  EXPECT_EQ(child.Load(kBase), 5u);
}

TEST_F(CopyOnWriteTest, LastSharerReusesThePageAndTakesItToItsOwnAnonVma) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  FaultMm& child = Fork();
  ASSERT_NE(child.vma().anon_vma(), mm_->vma().anon_vma());
  mm_->Store(kBase, 2);  // the parent gets the copy
  Folio& left = child.FolioAt(kBase);
  ASSERT_EQ(left.refcount(), 1u);
  EXPECT_EQ(left.owner().anon_vma.Peek(), mm_->vma().anon_vma());

  EXPECT_EQ(child.Fault(kBase, kWrite), 0u);
  EXPECT_EQ(&child.FolioAt(kBase), &left);
  EXPECT_TRUE(child.EntryAt(kBase).writable());
  EXPECT_TRUE(child.EntryAt(kBase).dirty());
  EXPECT_TRUE(left.Has(kFolioAnonExclusive));
  EXPECT_EQ(left.owner().anon_vma.Peek(), child.vma().anon_vma());
  EXPECT_EQ(child.Load(kBase), 1u);
}

TEST_F(CopyOnWriteTest, AForeignReferenceForcesACopy) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  Folio& page = mm_->FolioAt(kBase);
  child_ = nullptr;
  Fork();
  child_.reset();
  ASSERT_EQ(page.refcount(), 1u);
  page.Get();
  mm_->Store(kBase, 2);
  EXPECT_NE(&mm_->FolioAt(kBase), &page);
  EXPECT_EQ(page.refcount(), 1u);
  EXPECT_EQ(page.mapcount(), 0);
  EXPECT_EQ(WordOf(page), 1u);
  frames().Put(page);
}

TEST_F(CopyOnWriteTest, ExclusiveIsEnoughForReuseWhateverTheReferences) {
  Vma& vma = mm_->Map(kBase, 1, kPrivateReadWrite);
  mm_->Store(kBase, 1);
  Folio& page = mm_->FolioAt(kBase);
  page.Get();
  mm_->Protect(vma.range(), LeafBits(true, false, false));
  mm_->Store(kBase, 2);
  EXPECT_EQ(&mm_->FolioAt(kBase), &page);
  frames().Put(page);
}

TEST_F(CopyOnWriteTest, ZeroPageSharedByForkIsReplacedOnEachSide) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Load(kBase), 0u);
  FaultMm& child = Fork();
  child.Store(kBase, 2);
  mm_->Store(kBase, 1);
  EXPECT_EQ(mm_->Load(kBase), 1u);
  EXPECT_EQ(child.Load(kBase), 2u);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
  EXPECT_EQ(child.Count(MmCounter::kAnonPages), 1);
}

TEST_F(CopyOnWriteTest, WriteToAMappedFilePageOfAPrivateMappingCopiesIt) {
  Vma& vma = mm_->Map(kBase, 4, kPrivateReadWrite, &File(), 3);
  Folio& cached = machine_->Fill(File(), 4, 11);
  ASSERT_EQ(mm_->Load(Page(1)), 11u);
  ASSERT_EQ(mm_->Count(MmCounter::kFilePages), 1);

  mm_->Store(Page(1), 12);
  Folio& copy = mm_->FolioAt(Page(1));
  EXPECT_EQ(copy.use(), FrameUse::kAnon);
  EXPECT_EQ(copy.owner().anon_vma.Peek(), vma.anon_vma());
  EXPECT_EQ(copy.owner().index.Peek(), 4u);
  EXPECT_EQ(cached.refcount(), 1u);
  EXPECT_EQ(cached.mapcount(), 0);
  EXPECT_EQ(WordOf(cached), 11u);
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 0);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
}

TEST_F(CopyOnWriteTest, ForkedPrivateCopyOfAFilePageIsAnonymousOnBothSides) {
  mm_->Map(kBase, 1, kPrivateReadWrite, &File(Mapping::Kind::kShmem));
  mm_->Store(kBase, 1);
  FaultMm& child = Fork();
  child.Store(kBase, 2);
  EXPECT_EQ(mm_->Load(kBase), 1u);
  EXPECT_EQ(child.Count(MmCounter::kAnonPages), 1);
  EXPECT_EQ(child.Count(MmCounter::kShmemPages), 0);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
}

TEST_F(CopyOnWriteTest, PageOfASharedMappingBecomesWritableInPlace) {
  Vma& vma = mm_->Map(kBase, 1, kSharedReadWrite, &File());
  ASSERT_EQ(mm_->Load(kBase), 0u);
  Folio& cached = mm_->FolioAt(kBase);
  mm_->Protect(vma.range(), LeafBits(true, false, false));
  ASSERT_FALSE(mm_->EntryAt(kBase).writable());
  EXPECT_EQ(mm_->Fault(kBase, kWrite), 0u);
  EXPECT_EQ(mm_->EntryAt(kBase),
            Young(cached, Entry::kUser | Entry::kNoExec | Entry::kWrite | Entry::kDirty));
  EXPECT_TRUE(cached.Has(kFolioDirty));
  EXPECT_EQ(cached.refcount(), 2u);
  EXPECT_EQ(vma.anon_vma(), nullptr);
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 1);
}

TEST_F(CopyOnWriteTest, TheOldTranslationIsFlushedFromEveryCpu) {
  mm_->Map(kBase, 1, kPrivateReadWrite);
  ASSERT_EQ(mm_->Load(kBase), 0u);  // the zero page is in the TLB
  const uint64_t flushes = machine_->tlbs().counts().flushes;
  ASSERT_EQ(mm_->Fault(kBase, kWrite), 0u);
  EXPECT_EQ(machine_->tlbs().counts().flushes, flushes + 1);
  frames().StoreWord(mm_->FolioAt(kBase), 0, 3);
  EXPECT_EQ(mm_->Load(kBase), 3u);
}

}  // namespace
}  // namespace faultline
