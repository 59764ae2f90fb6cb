// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/fault/mapping_fault.cc and fault_around.cc. What the windows map is what the
// running kernel (6.18) shows in /proc/self/pagemap for the same mappings of a memfd.

#include <string>

#include "tests/core/fault/fault_test_base.h"

namespace faultline {
namespace {

class MappingFaultTest : public FaultTestBase {};

TEST_F(MappingFaultTest, ReadMapsTheCachedPage) {
  Vma& vma = mm_->Map(kBase, 4, kPrivateReadWrite, &File(), 8);
  Folio& cached = machine_->Fill(File(), 10, 5);
  EXPECT_EQ(mm_->Fault(Page(2), kRead), 0u);
  EXPECT_EQ(mm_->EntryAt(Page(2)), Young(cached, Entry::kUser | Entry::kNoExec));
  EXPECT_EQ(cached.refcount(), 2u);  // the Mapping's and the entry's
  EXPECT_EQ(cached.mapcount(), 1);
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 1);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 0);
  EXPECT_EQ(vma.anon_vma(), nullptr);
}

TEST_F(MappingFaultTest, ReadOfWhatIsNotCachedCachesIt) {
  mm_->Map(kBase, 4, kPrivateReadOnly, &File());
  EXPECT_EQ(mm_->Load(Page(3)), 0u);
  EXPECT_EQ(File().resident_pages(), 1u);
}

TEST_F(MappingFaultTest, SharedMemoryCountsAsSuch) {
  mm_->Map(kBase, 4, kSharedReadWrite, &File(Mapping::Kind::kShmem));
  EXPECT_EQ(mm_->Fault(Page(0), kRead), 0u);
  EXPECT_EQ(mm_->Fault(Page(1), kWrite), 0u);
  EXPECT_EQ(mm_->Count(MmCounter::kShmemPages), 2);
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 0);
}

TEST_F(MappingFaultTest, ReadMapsASharedWritableMappingWritableAndClean) {
  mm_->Map(kBase, 1, kSharedReadWrite, &File());
  EXPECT_EQ(mm_->Fault(kBase, kRead), 0u);
  EXPECT_TRUE(mm_->EntryAt(kBase).writable());
  EXPECT_FALSE(mm_->EntryAt(kBase).dirty());
  EXPECT_FALSE(mm_->FolioAt(kBase).Has(kFolioDirty));
}

TEST_F(MappingFaultTest, ReadMapsASharedReadOnlyMappingReadOnly) {
  mm_->Map(kBase, 1, kSharedReadOnly, &File());
  EXPECT_EQ(mm_->Fault(kBase, kRead), 0u);
  EXPECT_FALSE(mm_->EntryAt(kBase).writable());
}

TEST_F(MappingFaultTest, SharedWriteMapsTheCachedPageDirty) {
  Vma& vma = mm_->Map(kBase, 1, kSharedReadWrite, &File());
  Folio& cached = machine_->Fill(File(), 0, 5);
  EXPECT_EQ(mm_->Fault(kBase, kWrite), 0u);
  EXPECT_EQ(mm_->EntryAt(kBase),
            Young(cached, Entry::kUser | Entry::kNoExec | Entry::kWrite | Entry::kDirty));
  EXPECT_TRUE(cached.Has(kFolioDirty));
  EXPECT_EQ(cached.refcount(), 2u);
  EXPECT_EQ(vma.anon_vma(), nullptr);
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 1);
}

TEST_F(MappingFaultTest, PrivateWriteMapsACopyAtOnce) {
  Vma& vma = mm_->Map(kBase, 4, kPrivateReadWrite, &File(), 8);
  Folio& cached = machine_->Fill(File(), 9, 5);
  EXPECT_EQ(mm_->Fault(Page(1), kWrite), 0u);
  Folio& copy = mm_->FolioAt(Page(1));
  EXPECT_EQ(mm_->EntryAt(Page(1)),
            Young(copy, Entry::kUser | Entry::kNoExec | Entry::kWrite | Entry::kDirty));
  EXPECT_EQ(copy.use(), FrameUse::kAnon);
  EXPECT_TRUE(copy.Has(kFolioAnonExclusive));
  EXPECT_EQ(copy.owner().anon_vma.Peek(), vma.anon_vma());
  EXPECT_EQ(copy.owner().index.Peek(), 9u);
  EXPECT_EQ(WordOf(copy), 5u);
  EXPECT_EQ(cached.refcount(), 1u);
  EXPECT_EQ(mm_->Count(MmCounter::kAnonPages), 1);
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 0);
}

TEST_F(MappingFaultTest, BehindTheEndOfTheMappingIsABusError) {
  mm_->Map(kBase, 4, kPrivateReadWrite, &File(Mapping::Kind::kFile, 10), 8);
  EXPECT_EQ(mm_->Fault(Page(2), kRead), fault_bit::kSigbus);
  EXPECT_EQ(mm_->Fault(Page(2), kWrite), fault_bit::kSigbus);
  EXPECT_EQ(mm_->Count(MmCounter::kTables), 3);  // no PTE table
  EXPECT_EQ(mm_->Fault(Page(1), kRead), 0u);
  EXPECT_EQ(mm_->Fault(Page(3), kRead), fault_bit::kSigbus);
  EXPECT_EQ(File().resident_pages(), 1u);
}

// -- Fault-around ---------------------------------------------------------------------------------

class FaultAroundTest : public FaultTestBase {
 protected:
  static constexpr uint64_t kWindow = 16;

  FaultAroundTest() { mm_ = std::make_unique<FaultMm>(*machine_, kWindow * kPageSize); }

  /// Which of `pages` pages from `start` are mapped: 'F' a page of the file, 'A' anonymous.
  std::string Show(VirtAddr start, uint64_t pages) {
    std::string shown;
    for (uint64_t i = 0; i < pages; ++i) {
      const PageView view = ViewPage(mm_->target(), start + i * kPageSize);
      shown += !view.present ? '.' : view.file_or_shared ? 'F' : 'A';
    }
    return shown;
  }
  /// A mapping of the file, wholly cached, from a page that is 3 behind a multiple of the window.
  void MapOdd(uint64_t pages, VmaFlags flags = kPrivateReadWrite) {
    for (uint64_t i = 0; i < 64; ++i) machine_->Fill(File(), i, i);
    mm_->Map(Page(35), pages, flags, &File(), 10);
  }
};

TEST_F(FaultAroundTest, MapsTheAlignedWindowAroundThePage) {
  MapOdd(48);
  EXPECT_EQ(mm_->Fault(Page(35 + 15), kRead), fault_bit::kNoPage);
  EXPECT_EQ(Show(Page(35), 48), ".............FFFFFFFFFFFFFFFF...................");
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 16);
  for (uint64_t i = 13; i < 29; ++i) {
    Folio& folio = mm_->FolioAt(Page(35 + i));
    EXPECT_EQ(WordOf(folio), 10 + i);
    EXPECT_EQ(folio.refcount(), 2u);
    EXPECT_EQ(folio.mapcount(), 1);
    EXPECT_EQ(mm_->EntryAt(Page(35 + i)), Young(folio, Entry::kUser | Entry::kNoExec));
  }
}

TEST_F(FaultAroundTest, WindowThatTheVmaCutsInFrontIsAsLongAndEndsLater) {
  MapOdd(40);
  EXPECT_EQ(mm_->Fault(Page(35 + 2), kRead), fault_bit::kNoPage);
  EXPECT_EQ(Show(Page(35), 40), "FFFFFFFFFFFFFFFF........................");
}

TEST_F(FaultAroundTest, WindowEndsWithTheVma) {
  MapOdd(20);
  EXPECT_EQ(mm_->Fault(Page(35 + 14), kRead), fault_bit::kNoPage);
  EXPECT_EQ(Show(Page(35), 22), ".............FFFFFFF..");
}

TEST_F(FaultAroundTest, WindowEndsWithTheMapping) {
  for (uint64_t i = 0; i < 20; ++i) machine_->Fill(File(Mapping::Kind::kFile, 20), i, i);
  mm_->Map(Page(32), 32, kPrivateReadOnly, &File(), 10);
  EXPECT_EQ(mm_->Fault(Page(33), kRead), fault_bit::kNoPage);
  EXPECT_EQ(Show(Page(32), 32), "FFFFFFFFFF......................");
}

TEST_F(FaultAroundTest, ReadBehindTheEndMapsWhatIsAroundAndIsABusError) {
  for (uint64_t i = 0; i < 10; ++i) machine_->Fill(File(Mapping::Kind::kFile, 10), i, i);
  mm_->Map(Page(0), 32, kPrivateReadWrite, &File());
  EXPECT_EQ(mm_->Fault(Page(12), kWrite), fault_bit::kSigbus);
  EXPECT_EQ(mm_->Fault(Page(20), kRead), fault_bit::kSigbus);
  EXPECT_EQ(Show(Page(0), 32), "................................");
  EXPECT_EQ(mm_->Fault(Page(12), kRead), fault_bit::kSigbus);
  EXPECT_EQ(Show(Page(0), 32), "FFFFFFFFFF......................");
}

TEST_F(FaultAroundTest, WindowEndsWithThePteTable) {
  for (uint64_t i = 0; i < 64; ++i) machine_->Fill(File(), i, i);
  // Four pages before the table's end: the window would go on.
  mm_->Map(Page(512 - 4), 40, kPrivateReadOnly, &File(), 0);
  EXPECT_EQ(mm_->Fault(Page(512 - 2), kRead), fault_bit::kNoPage);
  EXPECT_EQ(Show(Page(512 - 4), 10), "FFFF......");
}

TEST_F(FaultAroundTest, MapsOnlyWhatIsCachedAndSaysWhetherThatWasThePage) {
  machine_->Fill(File(), 1, 0);
  machine_->Fill(File(), 3, 0);
  mm_->Map(kBase, 8, kPrivateReadOnly, &File());
  EXPECT_EQ(mm_->Fault(Page(2), kRead), 0u);
  EXPECT_EQ(Show(kBase, 8), ".FFF....");
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 3);
  EXPECT_EQ(File().resident_pages(), 3u);
}

TEST_F(FaultAroundTest, LeavesEntriesThatAreThereAsTheyAre) {
  MapOdd(40);
  ASSERT_EQ(mm_->Fault(Page(35 + 15), kWrite), 0u);
  EXPECT_EQ(Show(Page(35), 30), "...............A..............");
  EXPECT_EQ(mm_->Fault(Page(35 + 14), kRead), fault_bit::kNoPage);
  EXPECT_EQ(Show(Page(35), 30), ".............FFAFFFFFFFFFFFFF.");
  EXPECT_EQ(mm_->Count(MmCounter::kFilePages), 15);
}

TEST_F(FaultAroundTest, SharedWritesMapOnePage) {
  MapOdd(40, kSharedReadWrite);
  EXPECT_EQ(mm_->Fault(Page(35 + 15), kWrite), 0u);
  EXPECT_EQ(Show(Page(35), 30), "...............F..............");
}

TEST_F(FaultAroundTest, SharedWritableNeighboursAreWritableAndClean) {
  MapOdd(40, kSharedReadWrite);
  EXPECT_EQ(mm_->Fault(Page(35), kRead), fault_bit::kNoPage);
  EXPECT_TRUE(mm_->EntryAt(Page(36)).writable());
  EXPECT_FALSE(mm_->EntryAt(Page(36)).dirty());
}

TEST_F(FaultAroundTest, WindowOfOnePageMapsOnePage) {
  mm_ = std::make_unique<FaultMm>(*machine_, kPageSize);
  MapOdd(40);
  EXPECT_EQ(mm_->Fault(Page(35 + 15), kRead), 0u);
  EXPECT_EQ(Show(Page(35), 30), "...............F..............");
}

}  // namespace
}  // namespace faultline
