// SPDX-License-Identifier: Apache-2.0
//
// What fork copies, shares, wipes and leaves out.

#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

class ForkTest : public MmTest {
 protected:
  static std::string In(Mm& mm, int64_t page) {
    uint64_t word = 0;
    const AccessOutcome access = mm.Read(At(page), word);
    return access.ok() ? std::to_string(word) : Why(access);
  }
  std::string Advise(int64_t page, uint64_t pages, int advice) {
    return Why(mm().Madvise(At(page), Pages(pages), advice));
  }
};

TEST_F(ForkTest, WritesOnAllSidesStayThere) {
  Map(0, 4);
  Fill(0, 4, 10);
  Mm& child = world().Fork(mm());
  Mm& grandchild = world().Fork(child);
  Fill(0, 1, 20);
  FillIn(child, 1, 1, 30);
  FillIn(grandchild, 2, 1, 40);
  for (Mm* one : {&mm(), &child, &grandchild}) EXPECT_EQ(In(*one, 3), "13");
  EXPECT_EQ(In(mm(), 0) + In(mm(), 1) + In(mm(), 2), "201112");
  EXPECT_EQ(In(child, 0) + In(child, 1) + In(child, 2), "103012");
  EXPECT_EQ(In(grandchild, 0) + In(grandchild, 1) + In(grandchild, 2), "101140");
}

TEST_F(ForkTest, TwoForksOfOneParentAreApart) {
  Map(0, 2);
  Fill(0, 2, 10);
  Mm& first = world().Fork(mm());
  Fill(0, 1, 20);
  Mm& second = world().Fork(mm());
  FillIn(first, 0, 1, 30);
  FillIn(second, 0, 1, 40);
  EXPECT_EQ(In(mm(), 0), "20");
  EXPECT_EQ(In(first, 0), "30");
  EXPECT_EQ(In(second, 0), "40");
  world().Drop(first);
  Fill(1, 1, 50);
  EXPECT_EQ(In(second, 1), "11");
}

TEST_F(ForkTest, TheLastOneToWriteNeedsNoCopy) {
  Map(0, 1);
  Fill(0, 1, 10);
  Mm& child = world().Fork(mm());
  FillIn(child, 0, 1, 11);
  const uint64_t free = machine().frames().free_frames();
  Fill(0, 1, 12);
  EXPECT_EQ(machine().frames().free_frames(), free);
}

TEST_F(ForkTest, SharedMemoryStaysShared) {
  Map(0, 2, kRw, kSharedAnonFixed);
  Fill(0, 1, 10);
  Mm& child = world().Fork(mm());
  FillIn(child, 0, 2, 20);
  EXPECT_EQ(Reads(0), "20");
  EXPECT_EQ(Reads(1), "21");
}

TEST_F(ForkTest, AdviceDecidesWhatTheChildGets) {
  Map(0, 8);
  Fill(0, 8, 10);
  ASSERT_EQ(Advise(2, 2, kMadvDontFork), "ok");
  ASSERT_EQ(Advise(4, 2, kMadvWipeOnFork), "ok");
  Mm& child = world().Fork(mm());
  EXPECT_EQ(MapsOf(child), "0-2 rw-p, 4-6 rw-p, 6-8 rw-p");
  EXPECT_EQ(In(child, 1), "11");
  EXPECT_EQ(In(child, 2), "SEGV_MAPERR");
  EXPECT_EQ(In(child, 4), "0");
  EXPECT_EQ(In(child, 6), "16");
  ASSERT_EQ(Advise(0, 8, kMadvDoFork), "ok");
  ASSERT_EQ(Advise(0, 8, kMadvKeepOnFork), "ok");
  Mm& second = world().Fork(mm());
  EXPECT_EQ(MapsOf(second), "0-8 rw-p");
  EXPECT_EQ(In(second, 5), "15");
}

TEST_F(ForkTest, DroppableMemoryIsWiped) {
  Map(0, 2, kRw, kMapDroppable | kMapAnonymous | kMapFixed);
  Fill(0, 2, 10);
  Mm& child = world().Fork(mm());
  EXPECT_EQ(In(child, 0), "0");
  EXPECT_EQ(Reads(0), "10");
}

TEST_F(ForkTest, LocksAreNotInheritedButSealsAndTheBreakAre) {
  Map(0, 2);
  Map(4, 2);
  ASSERT_EQ(Why(mm().Mlock(At(0), Pages(2))), "ok");
  ASSERT_EQ(Why(mm().Mseal(At(4), Pages(2), 0)), "ok");
  const VirtAddr end = *mm().Brk(mm().brk() + Pages(2));
  Mm& child = world().Fork(mm());
  EXPECT_EQ(child.pages().locked, 0u);
  EXPECT_EQ(Why(child.Munmap(At(4), Pages(1))), "EPERM");
  EXPECT_EQ(child.brk(), end);
}

TEST_F(ForkTest, ACommitLimitCanForbidIt) {
  MmOptions options;
  options.commit_limit_pages = 4;
  Mm& small = world().NewMm(options);
  MapIn(small, 0, 4);
  MapIn(small, 4, 4);  // joins the first
  EXPECT_EQ(Why(small.Fork()), "ENOMEM");
  EXPECT_EQ(Why(small.Munmap(At(3), Pages(2))), "ok");
  world().Fork(small);
}

TEST_F(ForkTest, TheParentsEntriesAreFlushed) {
  Map(0, 1);
  Fill(0, 1, 10);  // the TLB has it writable
  Mm& child = world().Fork(mm());
  EXPECT_EQ(Writes(0, 11), "ok");
  EXPECT_EQ(In(child, 0), "10");
}

}  // namespace
}  // namespace faultline
