// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/fault/anon_vma_prepare.cc: which neighbour lends its anon_vma.

#include "tests/core/fault/fault_test_base.h"

namespace faultline {
namespace {

class AnonVmaPrepareTest : public FaultTestBase {
 protected:
  Result<void> Prepare(Vma& vma) { return PrepareAnonVma(mm_->target(), vma); }
};

TEST_F(AnonVmaPrepareTest, AVmaByItselfGetsOneOfItsOwnOnce) {
  Vma& vma = mm_->Map(kBase, 2, kPrivateReadWrite);
  ASSERT_TRUE(Prepare(vma).ok());
  AnonVma* anon_vma = vma.anon_vma();
  ASSERT_NE(anon_vma, nullptr);
  EXPECT_TRUE(Prepare(vma).ok());
  EXPECT_EQ(vma.anon_vma(), anon_vma);
  EXPECT_EQ(machine_->anon_vmas().count(), 1u);
  AnonVmas::Validate(vma);
}

TEST_F(AnonVmaPrepareTest, ReusesTheNextVmasBeforeThePreviousOnes) {
  Vma& previous = mm_->Map(Page(0), 2, kPrivateReadWrite);
  Vma& middle = mm_->Map(Page(2), 2, kPrivateReadOnly);
  Vma& next = mm_->Map(Page(4), 2, kPrivateReadWrite);
  ASSERT_TRUE(Prepare(previous).ok());
  ASSERT_TRUE(Prepare(next).ok());
  ASSERT_NE(previous.anon_vma(), next.anon_vma());  // not adjacent
  ASSERT_TRUE(Prepare(middle).ok());                // other access rights do not matter
  EXPECT_EQ(middle.anon_vma(), next.anon_vma());
}

TEST_F(AnonVmaPrepareTest, ReusesThePreviousVmasIfTheNextHasNone) {
  Vma& previous = mm_->Map(Page(0), 2, kPrivateReadWrite);
  Vma& middle = mm_->Map(Page(2), 2, kPrivateReadOnly);
  mm_->Map(Page(4), 2, kPrivateReadWrite);
  ASSERT_TRUE(Prepare(previous).ok());
  ASSERT_TRUE(Prepare(middle).ok());
  EXPECT_EQ(middle.anon_vma(), previous.anon_vma());
  EXPECT_EQ(machine_->anon_vmas().count(), 1u);
}

TEST_F(AnonVmaPrepareTest, RefusesANeighbourBehindAGap) {
  Vma& previous = mm_->Map(Page(0), 2, kPrivateReadWrite);
  Vma& vma = mm_->Map(Page(3), 2, kPrivateReadWrite);
  ASSERT_TRUE(Prepare(previous).ok());
  ASSERT_TRUE(Prepare(vma).ok());
  EXPECT_NE(vma.anon_vma(), previous.anon_vma());
}

TEST_F(AnonVmaPrepareTest, RefusesANeighbourWithOtherFlags) {
  Vma& previous = mm_->Map(Page(0), 2, kPrivateReadWrite);
  Vma& vma = mm_->Map(Page(2), 2, kPrivateReadWrite | vma_flag::kDontCopy);
  ASSERT_TRUE(Prepare(previous).ok());
  ASSERT_TRUE(Prepare(vma).ok());
  EXPECT_NE(vma.anon_vma(), previous.anon_vma());
}

TEST_F(AnonVmaPrepareTest, RefusesAnotherMappingOrAJumpInTheFile) {
  Vma& anonymous = mm_->Map(Page(0), 2, kPrivateReadWrite);
  Vma& file = mm_->Map(Page(2), 2, kPrivateReadWrite, &File(), 2);
  Vma& further = mm_->Map(Page(4), 2, kPrivateReadWrite, &File(), 5);
  for (Vma* vma : {&anonymous, &file, &further}) ASSERT_TRUE(Prepare(*vma).ok());
  EXPECT_NE(file.anon_vma(), anonymous.anon_vma());
  EXPECT_NE(further.anon_vma(), file.anon_vma());
}

TEST_F(AnonVmaPrepareTest, ReusesThatOfTheNextPartOfTheSameFile) {
  Vma& first = mm_->Map(Page(0), 2, kPrivateReadWrite, &File(), 2);
  Vma& second = mm_->Map(Page(2), 2, kPrivateReadWrite, &File(), 4);
  ASSERT_TRUE(Prepare(second).ok());
  ASSERT_TRUE(Prepare(first).ok());
  EXPECT_EQ(first.anon_vma(), second.anon_vma());
}

TEST_F(AnonVmaPrepareTest, RefusesANeighbourThatWasForked) {
  Vma& first = mm_->Map(Page(0), 2, kPrivateReadWrite);
  ASSERT_TRUE(Prepare(first).ok());
  FaultMm& child = Fork();
  Vma& forked = child.vma();
  ASSERT_TRUE(AnonVmas::IsForkChild(forked));
  Vma& beside = child.Map(Page(2), 2, kPrivateReadWrite);
  ASSERT_TRUE(PrepareAnonVma(child.target(), beside).ok());
  EXPECT_NE(beside.anon_vma(), forked.anon_vma());
}

TEST_F(AnonVmaPrepareTest, LooksAtNothingBelowAddressZero) {
  Vma& vma = mm_->Map(VirtAddr(0), 1, kPrivateReadWrite);
  EXPECT_TRUE(Prepare(vma).ok());
}

}  // namespace
}  // namespace faultline
