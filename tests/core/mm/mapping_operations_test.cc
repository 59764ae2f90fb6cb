// SPDX-License-Identifier: Apache-2.0
//
// What mmap, munmap, mprotect, mremap and brk do to VMAs, pages and page tables where that is worth
// a name: merging and splitting with its reasons, replacing, moving, freeing tables.

#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint64_t kTo = kMremapMayMove | kMremapFixed;

class MapOperationsTest : public MmTest {
 protected:
  [[nodiscard]] uint64_t PreviousCount(MergeRefusal refusal) {
    return mm().merge_counts().previous[static_cast<size_t>(refusal)];
  }
  [[nodiscard]] uint64_t NextCount(MergeRefusal refusal) {
    return mm().merge_counts().next[static_cast<size_t>(refusal)];
  }
  [[nodiscard]] int64_t Tables() { return mm().counters().Sum(MmCounter::kTables); }
};
using MmapTest = MapOperationsTest;
using MunmapTest = MapOperationsTest;
using MprotectTest = MapOperationsTest;
using MremapTest = MapOperationsTest;
using BrkTest = MapOperationsTest;

TEST_F(MmapTest, MergesWithBothNeighbours) {
  Map(0, 4);
  Map(8, 4);
  EXPECT_EQ(PreviousCount(MergeRefusal::kNone), 0u);
  Map(4, 4);
  EXPECT_EQ(MapsOf(mm()), "0-12 rw-p");
  EXPECT_EQ(PreviousCount(MergeRefusal::kNone), 1u);
  EXPECT_EQ(NextCount(MergeRefusal::kNone), 1u);
}

TEST_F(MmapTest, MergesIfOneSideHasPages) {
  Map(0, 4);
  Fill(0, 4, 10);
  Map(4, 4);
  EXPECT_EQ(MapsOf(mm()), "0-8 rw-p");
  Fill(4, 4, 14);
  Map(-4, 4);
  EXPECT_EQ(MapsOf(mm()), "-4-8 rw-p");
  EXPECT_EQ(Reads(7), "17");
}

TEST_F(MmapTest, JoinsOneOfTwoNeighboursWithPagesOfTheirOwn) {
  Map(0, 4);
  Map(8, 4);
  Fill(0, 1, 1);
  Fill(8, 1, 2);
  Map(4, 4);
  EXPECT_EQ(MapsOf(mm()), "0-8 rw-p, 8-12 rw-p");
  EXPECT_EQ(NextCount(MergeRefusal::kOtherNeighbour), 1u);
}

TEST_F(MmapTest, TellsWhyItDoesNotMerge) {
  Map(0, 4, kR);
  Map(4, 4);
  EXPECT_EQ(PreviousCount(MergeRefusal::kFlags), 1u);
  Mapping& file = world().NewFile(16);
  MapFile(20, 4, file, 0);
  MapFile(24, 4, file, 5);
  EXPECT_EQ(PreviousCount(MergeRefusal::kPgoff), 1u);
  MapFile(28, 4, file, 9);
  EXPECT_EQ(PreviousCount(MergeRefusal::kNone), 1u);
  Map(32, 4, kRw, kSharedAnonFixed);
  EXPECT_EQ(PreviousCount(MergeRefusal::kMapping), 1u);
  EXPECT_EQ(MapsOf(mm(), 20, 40), "20-24 rw-s, 24-32 rw-s, 32-36 rw-s");
}

TEST_F(MmapTest, AForkedVmaDoesNotMergeWithANewOne) {
  Map(0, 4);
  Fill(0, 4, 1);
  Mm& child = world().Fork(mm());
  MapIn(child, 4, 4);
  EXPECT_EQ(MapsOf(child), "0-4 rw-p, 4-8 rw-p");
  EXPECT_EQ(child.merge_counts().previous[static_cast<size_t>(MergeRefusal::kForkChild)], 1u);
}

TEST_F(MmapTest, FixedReplacesWhatIsThere) {
  Map(0, 12);
  Fill(0, 12, 100);
  Map(4, 4, kR);
  EXPECT_EQ(MapsOf(mm()), "0-4 rw-p, 4-8 r--p, 8-12 rw-p");
  EXPECT_EQ(Reads(3), "103");
  EXPECT_EQ(Reads(4), "0");
  EXPECT_EQ(Reads(8), "108");
}

TEST_F(MmapTest, PopulateFaultsPagesIn) {
  Map(0, 8, kRw, kAnonFixed | kMapPopulate);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kAnonPages), 8);
  Map(20, 8, kR, kAnonFixed | kMapPopulate);  // the zero page is not counted
  EXPECT_EQ(mm().counters().Sum(MmCounter::kAnonPages), 8);
  EXPECT_TRUE(mm().View(At(27)).present);
}

TEST_F(MmapTest, BehindTheEndOfAFileIsSigbus) {
  Mapping& file = world().NewFile(2);
  MapFile(0, 4, file, 0);
  EXPECT_EQ(Reads(1), "1001");
  EXPECT_EQ(Reads(2), "SIGBUS 2");
  EXPECT_EQ(Writes(3), "SIGBUS 2");
}

TEST_F(MmapTest, APrivateFileShowsTheFileUntilItIsWritten) {
  Mapping& file = world().NewFile(4);
  MapFile(0, 4, file, 0, kRw, kMapShared);
  MapFile(10, 4, file, 0, kRw, kMapPrivate);
  EXPECT_EQ(Reads(11), "1001");
  EXPECT_EQ(Writes(1, 7), "ok");
  EXPECT_EQ(Reads(11), "7");
  EXPECT_EQ(Writes(11, 8), "ok");
  EXPECT_EQ(Reads(1), "7");
  EXPECT_EQ(Writes(1, 9), "ok");
  EXPECT_EQ(Reads(11), "8");
  EXPECT_EQ(Why(mm().Madvise(At(10), Pages(4), kMadvDontNeed)), "ok");
  EXPECT_EQ(Reads(11), "9");
}

// -- munmap -------------------------------------------------------------------------------------

TEST_F(MunmapTest, InTheMiddleLeavesTwo) {
  Map(0, 12);
  Fill(0, 12, 100);
  EXPECT_EQ(Why(mm().Munmap(At(4), Pages(4))), "ok");
  EXPECT_EQ(MapsOf(mm()), "0-4 rw-p, 8-12 rw-p");
  EXPECT_EQ(mm().merge_counts().splits, 2u);
  EXPECT_EQ(Reads(5), "SEGV_MAPERR");
  EXPECT_EQ(Reads(8), "108");
}

TEST_F(MunmapTest, RoundsTheLengthUp) {
  Map(0, 4);
  EXPECT_EQ(Why(mm().Munmap(At(0), 1)), "ok");
  EXPECT_EQ(MapsOf(mm()), "1-4 rw-p");
}

TEST_F(MunmapTest, FreesATableOnlyIfNoNeighbourUsesIt) {
  // At page 24 tables of every level but the root end.
  Map(20, 2);
  Map(23, 4);
  Fill(20, 1, 1);
  Fill(23, 4, 1);
  EXPECT_EQ(Tables(), 7);
  EXPECT_EQ(Why(mm().Munmap(At(23), Pages(4))), "ok");
  EXPECT_EQ(Tables(), 4);  // the lower one is the neighbour's (floor)
  EXPECT_EQ(Why(mm().Munmap(At(20), Pages(1))), "ok");
  EXPECT_EQ(Tables(), 4);  // 21 is mapped, though nothing is in it (ceiling)
  EXPECT_EQ(Why(mm().Munmap(At(21), Pages(1))), "ok");
  EXPECT_EQ(Tables(), 1);
}

// -- mprotect -----------------------------------------------------------------------------------

TEST_F(MprotectTest, MiddleAndBackAreThreeVmasThenOne) {
  Map(0, 12);
  Fill(0, 12, 100);
  EXPECT_EQ(Why(mm().Mprotect(At(4), Pages(4), kR)), "ok");
  EXPECT_EQ(MapsOf(mm()), "0-4 rw-p, 4-8 r--p, 8-12 rw-p");
  EXPECT_EQ(mm().merge_counts().splits, 2u);
  EXPECT_EQ(Writes(4), "SEGV_ACCERR");
  EXPECT_EQ(Reads(4), "104");
  EXPECT_EQ(Why(mm().Mprotect(At(4), Pages(4), kRw)), "ok");
  EXPECT_EQ(MapsOf(mm()), "0-12 rw-p");
  EXPECT_EQ(Writes(4, 5), "ok");
}

TEST_F(MprotectTest, MovesABoundary) {
  Map(0, 8);
  Map(8, 8, kR);
  EXPECT_EQ(Why(mm().Mprotect(At(4), Pages(4), kR)), "ok");
  EXPECT_EQ(MapsOf(mm()), "0-4 rw-p, 4-16 r--p");
  EXPECT_EQ(mm().merge_counts().splits, 0u);
}

TEST_F(MprotectTest, AHoleEndsItAndWhatIsBeforeStaysChanged) {
  Map(0, 4);
  Map(6, 4);
  EXPECT_EQ(Why(mm().Mprotect(At(2), Pages(6), kR)), "ENOMEM");
  EXPECT_EQ(MapsOf(mm()), "0-2 rw-p, 2-4 r--p, 6-10 rw-p");
}

TEST_F(MprotectTest, NoAccessMeansNoneUntilItIsGivenBack) {
  Map(0, 4);
  Fill(0, 4, 10);
  EXPECT_EQ(Why(mm().Mprotect(At(0), Pages(4), kNone)), "ok");
  EXPECT_EQ(Reads(0), "SEGV_ACCERR");
  EXPECT_EQ(Why(mm().Mprotect(At(0), Pages(4), kProtExec)), "ok");
  EXPECT_EQ(Reads(0), "10");  // any right makes a page readable
  EXPECT_EQ(Why(mm().Touch(At(0), AccessKind::kExec)), "ok");
}

// -- mremap -------------------------------------------------------------------------------------

TEST_F(MremapTest, GrowsInPlaceIntoAHoleAndShrinks) {
  Map(0, 4);
  Fill(0, 4, 10);
  EXPECT_EQ(*mm().Mremap(At(0), Pages(4), Pages(8), 0, At(0)), At(0));
  EXPECT_EQ(MapsOf(mm()), "0-8 rw-p");
  EXPECT_EQ(*mm().Mremap(At(0), Pages(8), Pages(2), 0, At(0)), At(0));
  EXPECT_EQ(MapsOf(mm()), "0-2 rw-p");
  EXPECT_EQ(Reads(1), "11");
}

TEST_F(MremapTest, MovesPagesAcrossTables) {
  Map(0, 48);
  Fill(0, 48, 100);
  EXPECT_EQ(*mm().Mremap(At(10), Pages(30), Pages(30), kTo, At(1013)), At(1013));
  EXPECT_EQ(MapsOf(mm()), "0-10 rw-p, 40-48 rw-p, 1013-1043 rw-p");
  for (int64_t i = 0; i < 30; ++i) EXPECT_EQ(Reads(1013 + i), std::to_string(110 + i));
  EXPECT_EQ(Reads(10), "SEGV_MAPERR");
}

TEST_F(MremapTest, MovesElsewhereIfItCannotGrow) {
  Map(0, 4);
  Map(4, 1, kR);
  Fill(0, 4, 10);
  const VirtAddr to = *mm().Mremap(At(0), Pages(4), Pages(8), kMremapMayMove, At(0));
  EXPECT_EQ(WordAt(mm(), to + Pages(3)), 13u);
  EXPECT_EQ(WordAt(mm(), to + Pages(7)), 0u);
  EXPECT_EQ(MapsOf(mm(), 0, 8), "4-5 r--p");
}

TEST_F(MremapTest, MovesSeveralVmasWithTheirHoles) {
  Map(0, 2);
  Map(2, 2, kR);
  Map(6, 2);
  Fill(6, 2, 60);
  Map(104, 2, kR);  // where the hole comes: stays
  EXPECT_EQ(*mm().Mremap(At(0), Pages(8), Pages(8), kTo, At(100)), At(100));
  EXPECT_EQ(MapsOf(mm()), "100-102 rw-p, 102-106 r--p, 106-108 rw-p");
  EXPECT_EQ(Reads(107), "61");
}

TEST_F(MremapTest, OverTwoVmasGrowsNot) {
  Map(0, 2);
  Map(2, 2, kR);
  EXPECT_EQ(Why(mm().Mremap(At(0), Pages(4), Pages(6), kMremapMayMove, At(0))), "EFAULT");
  EXPECT_EQ(*mm().Mremap(At(0), Pages(4), Pages(4), kMremapMayMove, At(0)), At(0));
  EXPECT_EQ(*mm().Mremap(At(0), Pages(4), Pages(1), 0, At(0)), At(0));
  EXPECT_EQ(MapsOf(mm()), "0-1 rw-p");
}

TEST_F(MremapTest, DontUnmapLeavesAnEmptySource) {
  Map(0, 4);
  Fill(0, 4, 10);
  EXPECT_EQ(*mm().Mremap(At(0), Pages(4), Pages(4), kTo | kMremapDontUnmap, At(100)), At(100));
  EXPECT_EQ(MapsOf(mm()), "0-4 rw-p, 100-104 rw-p");
  EXPECT_EQ(Reads(2), "0");
  EXPECT_EQ(Reads(102), "12");
}

TEST_F(MremapTest, OldLengthZeroDuplicatesASharedMapping) {
  Map(0, 4, kRw, kSharedAnonFixed);
  Fill(0, 4, 10);
  EXPECT_EQ(*mm().Mremap(At(1), 0, Pages(2), kTo, At(100)), At(100));
  EXPECT_EQ(Reads(100), "11");
  EXPECT_EQ(Writes(101, 99), "ok");
  EXPECT_EQ(Reads(2), "99");
}

// -- brk ----------------------------------------------------------------------------------------

TEST_F(BrkTest, MergesWithTheHeapOnly) {
  const VirtAddr start = mm().brk();
  EXPECT_EQ(*mm().Brk(start + 1), start + 1);
  EXPECT_EQ(mm().pages().total, 1u);
  const VirtAddr above = start + Pages(4);
  ASSERT_EQ(Why(mm().Mmap({.addr = above, .length = Pages(2), .prot = kRw, .flags = kAnonFixed})),
            "ok");
  EXPECT_EQ(*mm().Brk(start + Pages(3)), start + Pages(3));
  EXPECT_EQ(mm().map_count(), 2u);
  EXPECT_EQ(*mm().Brk(start + Pages(4)), start + Pages(3)) << "a page stays free in front";
}

TEST_F(BrkTest, ShrinksAndDropsPages) {
  const VirtAddr start = mm().brk();
  ASSERT_EQ(*mm().Brk(start + Pages(4)), start + Pages(4));
  ASSERT_EQ(Why(mm().Write(start + Pages(3), 5)), "ok");
  EXPECT_EQ(*mm().Brk(start + Pages(2)), start + Pages(2));
  EXPECT_EQ(*mm().Brk(start + Pages(4)), start + Pages(4));
  EXPECT_EQ(WordAt(mm(), start + Pages(3)), 0u);
  EXPECT_EQ(*mm().Brk(start - 1), start + Pages(4));
  EXPECT_EQ(*mm().Brk(VirtAddr(0)), start + Pages(4));
}

}  // namespace
}  // namespace faultline
