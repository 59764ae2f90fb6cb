// SPDX-License-Identifier: Apache-2.0
//
// What madvise, mseal, mlock and stack growth do where that is worth a name.

#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

class MadviseTest : public MmTest {
 protected:
  std::string Advise(int64_t page, uint64_t pages, int advice) {
    return Why(mm().Madvise(At(page), Pages(pages), advice));
  }
};
using MsealTest = MadviseTest;
using MlockTest = MadviseTest;
using StackTest = MadviseTest;

TEST_F(MadviseTest, DontNeedGivesBackEmptyTables) {
  // A whole PTE table from page 24 on.
  Map(0, 24 + 2 * kPagesPerPmd);
  Fill(24, 4, 1);
  Fill(24 + kPagesPerPmd, 1, 9);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kTables), 5);
  EXPECT_EQ(Advise(24, kPagesPerPmd, kMadvDontNeed), "ok");
  EXPECT_EQ(mm().counters().Sum(MmCounter::kTables), 4);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kAnonPages), 1);
  EXPECT_EQ(Reads(24), "0");
  EXPECT_EQ(Reads(24 + kPagesPerPmd), "9");
}

TEST_F(MadviseTest, DontNeedOverAHoleDoesBothSides) {
  Map(0, 2);
  Map(4, 2);
  Fill(0, 2, 10);
  Fill(4, 2, 10);
  EXPECT_EQ(Advise(0, 6, kMadvDontNeed), "ENOMEM");
  EXPECT_EQ(Reads(1), "0");
  EXPECT_EQ(Reads(4), "0");
}

TEST_F(MadviseTest, GuardsFaultAndGoWithoutATrace) {
  Map(0, 6);
  Fill(0, 6, 10);
  EXPECT_EQ(Advise(2, 2, kMadvGuardInstall), "ok");
  EXPECT_EQ(MapsOf(mm()), "0-6 rw-p") << "guards split nothing";
  EXPECT_EQ(Reads(2), "SEGV_MAPERR");
  EXPECT_EQ(Writes(3), "SEGV_MAPERR");
  EXPECT_EQ(Reads(4), "14");
  EXPECT_EQ(Advise(0, 6, kMadvDontNeed), "ok");
  EXPECT_EQ(Reads(2), "SEGV_MAPERR") << "a discard leaves guards alone";
  EXPECT_EQ(Reads(1), "0");
  EXPECT_EQ(Advise(0, 6, kMadvGuardRemove), "ok");
  EXPECT_EQ(Reads(2), "0");
}

TEST_F(MadviseTest, GuardsAreForkedAndMoved) {
  Map(0, 4);
  EXPECT_EQ(Advise(1, 1, kMadvGuardInstall), "ok");
  Mm& child = world().Fork(mm());
  uint64_t word = 0;
  EXPECT_EQ(Why(child.Read(At(1), word)), "SEGV_MAPERR");
  EXPECT_EQ(*mm().Mremap(At(0), Pages(4), Pages(4), kMremapMayMove | kMremapFixed, At(100)),
            At(100));
  EXPECT_EQ(Reads(101), "SEGV_MAPERR");
  EXPECT_EQ(Reads(100), "0");
}

TEST_F(MadviseTest, FlagsSplitAndMergeBack) {
  Map(0, 6);
  EXPECT_EQ(Advise(2, 2, kMadvRandom), "ok");
  EXPECT_EQ(mm().map_count(), 3u);
  EXPECT_EQ(Advise(0, 6, kMadvNormal), "ok");
  EXPECT_EQ(mm().map_count(), 1u);
}

TEST_F(MadviseTest, PopulateWriteMakesPagesPrivate) {
  Mapping& file = world().NewFile(4);
  MapFile(0, 4, file, 0, kRw, kMapShared);
  MapFile(10, 4, file, 0, kRw, kMapPrivate);
  EXPECT_EQ(Advise(10, 2, kMadvPopulateWrite), "ok");
  Fill(0, 4, 50);
  EXPECT_EQ(Reads(11), "1001");
  EXPECT_EQ(Reads(12), "52");
}

// -- mseal --------------------------------------------------------------------------------------

TEST_F(MsealTest, ARefusedMunmapLeavesItsSplit) {
  Map(0, 8);
  ASSERT_EQ(Why(mm().Mseal(At(4), Pages(4), 0)), "ok");
  EXPECT_EQ(mm().map_count(), 2u);
  EXPECT_EQ(Why(mm().Munmap(At(2), Pages(4))), "EPERM");
  EXPECT_EQ(MapsOf(mm()), "0-2 rw-p, 2-4 rw-p, 4-8 rw-p");
}

TEST_F(MsealTest, MprotectChangesWhatComesBefore) {
  Map(0, 8);
  ASSERT_EQ(Why(mm().Mseal(At(4), Pages(4), 0)), "ok");
  EXPECT_EQ(Why(mm().Mprotect(At(2), Pages(4), kR)), "EPERM");
  EXPECT_EQ(MapsOf(mm()), "0-2 rw-p, 2-4 r--p, 4-8 rw-p");
}

TEST_F(MsealTest, WritableMemoryMayBeDiscarded) {
  Map(0, 2);
  Fill(0, 2, 5);
  ASSERT_EQ(Why(mm().Mseal(At(0), Pages(2), 0)), "ok");
  EXPECT_EQ(Advise(0, 1, kMadvDontNeed), "ok");
  EXPECT_EQ(Reads(0), "0");
  EXPECT_EQ(Reads(1), "6");
}

// -- mlock --------------------------------------------------------------------------------------

TEST_F(MlockTest, FaultsInAndCounts) {
  Map(0, 8);
  EXPECT_EQ(Why(mm().Mlock(At(2) + 1, 1)), "ok");
  EXPECT_EQ(mm().pages().locked, 1u);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kAnonPages), 1);
  EXPECT_EQ(mm().map_count(), 3u);
  EXPECT_EQ(Why(mm().Munlock(At(2), Pages(1))), "ok");
  EXPECT_EQ(mm().map_count(), 1u);
  EXPECT_EQ(mm().pages().locked, 0u);
}

TEST_F(MlockTest, OnFaultFaultsNothingIn) {
  Map(0, 8);
  EXPECT_EQ(Why(mm().Mlock2(At(0), Pages(8), kMlockOnFault)), "ok");
  EXPECT_EQ(mm().pages().locked, 8u);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kAnonPages), 0);
}

TEST_F(MlockTest, FutureMappingsAreLockedButDroppableOnes) {
  EXPECT_EQ(Why(mm().Mlockall(kMclFuture)), "ok");
  Map(0, 4);
  EXPECT_EQ(mm().pages().locked, 4u);
  EXPECT_EQ(mm().counters().Sum(MmCounter::kAnonPages), 4);
  Map(10, 4, kRw, kMapDroppable | kMapAnonymous | kMapFixed);
  EXPECT_EQ(mm().pages().locked, 4u);
  const VirtAddr start = mm().brk();
  EXPECT_EQ(*mm().Brk(start + Pages(2)), start + Pages(2));
  EXPECT_EQ(mm().pages().locked, 6u);
  EXPECT_EQ(Why(mm().Munlockall()), "ok");
  EXPECT_EQ(mm().pages().locked, 0u);
  Map(20, 4);
  EXPECT_EQ(mm().pages().locked, 0u);
}

// -- Stacks -------------------------------------------------------------------------------------

TEST_F(StackTest, GrowsToAnAccessBelow) {
  Map(1000, 4, kRw, kAnonFixed | kMapGrowsDown);
  EXPECT_EQ(Writes(990, 5), "ok");
  EXPECT_EQ(MapsOf(mm()), "990-1004 rw-p");
  EXPECT_EQ(Reads(990), "5");
  EXPECT_EQ(mm().pages().stack, 14u);
}

TEST_F(StackTest, KeepsItsGapToWhatLiesBelow) {
  Map(0, 4);
  Map(1000, 4, kRw, kAnonFixed | kMapGrowsDown);
  EXPECT_EQ(Writes(4 + 255), "SEGV_MAPERR");
  EXPECT_EQ(MapsOf(mm(), 900, 1100), "1000-1004 rw-p");
  EXPECT_EQ(Writes(4 + 256), "ok");
  EXPECT_EQ(MapsOf(mm(), 4, 1100), "260-1004 rw-p");
}

TEST_F(StackTest, NeedsNoGapToAGuardThatTheProgramMade) {
  Map(990, 4, kNone);
  Map(1000, 4, kRw, kAnonFixed | kMapGrowsDown);
  EXPECT_EQ(Writes(994), "ok");
  EXPECT_EQ(MapsOf(mm()), "990-994 ---p, 994-1004 rw-p");
}

TEST_F(StackTest, StopsAtItsLimit) {
  constexpr int64_t kLimitPages = (8 << 20) / 4096;
  Map(5000, 4, kRw, kAnonFixed | kMapGrowsDown);
  EXPECT_EQ(Writes(5004 - kLimitPages - 1), "SEGV_MAPERR");
  EXPECT_EQ(Writes(5004 - kLimitPages), "ok");
}

TEST_F(StackTest, NothingElseGrows) {
  Map(1000, 4);
  EXPECT_EQ(Writes(999), "SEGV_MAPERR");
  EXPECT_EQ(Why(mm().Write(VirtAddr(1ull << 47), 1)), "SEGV 128") << "not canonical";
}

}  // namespace
}  // namespace faultline
