// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/rmap/anon_vma.h by example: who is chained to what after a fault, a split, forks
// over generations and exits in any order, and what is left when memory runs out on the way.

#include "core/rmap/anon_vma.h"

#include <cstdint>
#include <functional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/rmap/anon_vmas.h"

namespace faultline {
namespace {

using ::testing::ElementsAre;

TEST(AnonVmaTest, TheFirstPageGivesAVmaAnAnonVmaOfItsOwn) {
  TestAnonVmas anon_vmas;
  Vma vma;
  ASSERT_TRUE(anon_vmas.Prepare(vma).ok());
  AnonVma& own = *vma.anon_vma();
  EXPECT_THAT(ChainsOf(vma), ElementsAre(&own));
  EXPECT_EQ(&own.root(), &own);
  EXPECT_EQ(own.num_active_vmas(), 1u);
  EXPECT_EQ(own.num_children(), 1u);  // itself
  EXPECT_FALSE(AnonVmas::IsForkChild(vma));
  AnonVmas::Validate(vma);
  anon_vmas->Unlink(vma);
  EXPECT_EQ(vma.anon_vma(), nullptr);
}

TEST(AnonVmaTest, ANeighbourIsReused) {
  TestAnonVmas anon_vmas;
  Vma vma;
  Vma neighbour;
  ASSERT_TRUE(anon_vmas.Prepare(neighbour).ok());
  ASSERT_TRUE(anon_vmas.Prepare(vma, neighbour.anon_vma()).ok());
  EXPECT_EQ(vma.anon_vma(), neighbour.anon_vma());
  EXPECT_EQ(vma.anon_vma()->num_active_vmas(), 2u);
  EXPECT_EQ(anon_vmas->count(), 1u);
  AnonVmas::Validate(vma);
  anon_vmas->Unlink(neighbour);
  AnonVmas::Validate(vma);
  anon_vmas->Unlink(vma);
}

TEST(AnonVmaTest, WhoComesSecondKeepsWhatTheFirstMade) {
  TestAnonVmas anon_vmas;
  Vma vma;
  ASSERT_TRUE(anon_vmas.Prepare(vma).ok());
  AnonVma* first = vma.anon_vma();
  ASSERT_TRUE(anon_vmas.Prepare(vma).ok());
  EXPECT_EQ(vma.anon_vma(), first);
  EXPECT_EQ(first->num_active_vmas(), 1u);
  Rcu::Barrier();
  EXPECT_EQ(anon_vmas->count(), 1u);
  anon_vmas->Unlink(vma);
}

TEST(AnonVmaTest, ASplitSharesTheAnonVma) {
  TestAnonVmas anon_vmas;
  Vma vma;
  Vma part;
  ASSERT_TRUE(anon_vmas.Prepare(vma).ok());
  ASSERT_TRUE(anon_vmas.Split(part, vma).ok());
  EXPECT_EQ(ChainsOf(part), ChainsOf(vma));
  EXPECT_EQ(vma.anon_vma()->num_active_vmas(), 2u);
  AnonVmas::Validate(part);
  anon_vmas->Unlink(vma);
  EXPECT_EQ(part.anon_vma()->num_active_vmas(), 1u);
  anon_vmas->Unlink(part);
}

TEST(AnonVmaTest, ASplitOfAVmaWithoutPagesHasNothingToShare) {
  TestAnonVmas anon_vmas;
  Vma vma;
  Vma part;
  ASSERT_TRUE(anon_vmas.Split(part, vma).ok());
  ASSERT_TRUE(anon_vmas->Fork(part, vma).ok());
  EXPECT_TRUE(part.anon_vma_chains().empty());
  anon_vmas->Unlink(part);
}

TEST(AnonVmaTest, AChildGetsTheParentsChainsAndAnAnonVmaOfItsOwn) {
  TestAnonVmas anon_vmas;
  Vma parent;
  Vma child;
  ASSERT_TRUE(anon_vmas.Prepare(parent).ok());
  ASSERT_TRUE(anon_vmas->Fork(child, parent).ok());
  AnonVma& own = *child.anon_vma();
  EXPECT_NE(&own, parent.anon_vma());
  EXPECT_EQ(&own.root(), parent.anon_vma());
  EXPECT_EQ(&own.parent(), parent.anon_vma());
  EXPECT_THAT(ChainsOf(child), ElementsAre(&own, parent.anon_vma()));
  EXPECT_EQ(parent.anon_vma()->num_children(), 2u);
  EXPECT_EQ(own.num_children(), 0u);
  EXPECT_TRUE(AnonVmas::IsForkChild(child));
  EXPECT_FALSE(AnonVmas::IsForkChild(parent));
  AnonVmas::Validate(parent);
  AnonVmas::Validate(child);
  anon_vmas->Unlink(parent);
  AnonVmas::Validate(child);
  anon_vmas->Unlink(child);
}

/// A process that forks and exits again and again, as B forks from A, C from B: without reuse the
/// chains would grow with each generation.
TEST(AnonVmaTest, ADeadParentsAnonVmaIsReusedSoThatChainsStayShort) {
  TestAnonVmas anon_vmas;
  std::vector<Vma> generations(20);
  ASSERT_TRUE(anon_vmas.Prepare(generations[0]).ok());
  for (size_t i = 1; i < generations.size(); ++i) {
    ASSERT_TRUE(anon_vmas->Fork(generations[i], generations[i - 1]).ok());
    anon_vmas->Unlink(generations[i - 1]);
    AnonVmas::Validate(generations[i]);
    EXPECT_LE(ChainsOf(generations[i]).size(), 3u);
  }
  Rcu::Barrier();
  EXPECT_LE(anon_vmas->count(), 3u);
  anon_vmas->Unlink(generations.back());
}

TEST(AnonVmaTest, OverThreeGenerationsOnlyAChildlessAnonVmaWithoutVmaIsReused) {
  TestAnonVmas anon_vmas;
  Vma a;
  Vma b;
  Vma c;
  Vma d;
  ASSERT_TRUE(anon_vmas.Prepare(a).ok());
  AnonVma* root = a.anon_vma();
  ASSERT_TRUE(anon_vmas->Fork(b, a).ok());
  AnonVma* of_b = b.anon_vma();
  ASSERT_TRUE(anon_vmas->Fork(c, b).ok());
  AnonVma* of_c = c.anon_vma();
  EXPECT_THAT(ChainsOf(c), ElementsAre(of_c, of_b, root));
  EXPECT_EQ(of_b->num_children(), 1u);

  anon_vmas->Unlink(b);  // of_b: no VMA of its own, one child
  ASSERT_TRUE(anon_vmas->Fork(d, c).ok());
  EXPECT_EQ(d.anon_vma(), of_b);
  EXPECT_EQ(of_b->num_active_vmas(), 1u);
  EXPECT_THAT(ChainsOf(d), ElementsAre(of_c, of_b, root));
  EXPECT_EQ(anon_vmas->count(), 3u);

  anon_vmas->Unlink(a);  // root: no VMA of its own either, but it is its own child
  Vma e;
  ASSERT_TRUE(anon_vmas->Fork(e, d).ok());
  EXPECT_EQ(&e.anon_vma()->parent(), of_b);
  EXPECT_EQ(anon_vmas->count(), 4u);
  for (Vma* vma : {&c, &d, &e}) AnonVmas::Validate(*vma);
  for (Vma* vma : {&e, &c, &d}) anon_vmas->Unlink(*vma);
}

/// Runs `operation` with its 1st, 2nd, ... allocation failing until none is left to fail; `check`
/// sees what each failure left. Returns how many failed.
uint64_t FailEach(TestAnonVmas& anon_vmas, const std::function<Result<void>()>& operation,
                  const std::function<void()>& check) {
  for (uint64_t nth = 1;; ++nth) {
    anon_vmas.fail_points().Arm(nth, FailPoints::Mode::kOnce);
    const Result<void> result = operation();
    const bool failed = anon_vmas.fail_points().failed() != 0;
    anon_vmas.fail_points().Disarm();
    if (!failed) {
      EXPECT_TRUE(result.ok());
      return nth - 1;
    }
    EXPECT_EQ(result, Result<void>(Errno::kEnomem));
    Rcu::Barrier();
    check();
  }
}

TEST(AnonVmaEnomemTest, PrepareLeavesAVmaWithoutAnonVma) {
  TestAnonVmas anon_vmas;
  Vma vma;
  const uint64_t failures = FailEach(
      anon_vmas, [&] { return anon_vmas.Prepare(vma); },
      [&] {
        EXPECT_EQ(vma.anon_vma(), nullptr);
        EXPECT_EQ(anon_vmas->count(), 0u);
        AnonVmas::Validate(vma);
      });
  EXPECT_EQ(failures, 2u);
  anon_vmas->Unlink(vma);
}

/// A grandchild with three chains, for operations on it to fail.
class AnonVmaFamilyEnomemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(anon_vmas_.Prepare(family_[0]).ok());
    ASSERT_TRUE(anon_vmas_->Fork(family_[1], family_[0]).ok());
    ASSERT_TRUE(anon_vmas_->Fork(family_[2], family_[1]).ok());
  }
  void TearDown() override {
    for (Vma& vma : family_) anon_vmas_->Unlink(vma);
    anon_vmas_->Unlink(fresh_);
  }
  void ExpectUnchanged() {
    EXPECT_TRUE(fresh_.anon_vma_chains().empty());
    EXPECT_EQ(fresh_.anon_vma(), nullptr);
    EXPECT_EQ(anon_vmas_->count(), 3u);
    for (Vma& vma : family_) {
      AnonVmas::Validate(vma);
      EXPECT_EQ(vma.anon_vma()->num_active_vmas(), 1u);
    }
    EXPECT_EQ(family_[2].anon_vma()->num_children(), 0u);
    EXPECT_EQ(family_[2].anon_vma()->vmas().front()->vma, &family_[2]);
  }

  TestAnonVmas anon_vmas_;
  Vma family_[3];
  Vma fresh_;
};

TEST_F(AnonVmaFamilyEnomemTest, ASplitThatFailsChangesNothing) {
  EXPECT_EQ(FailEach(
                anon_vmas_, [&] { return anon_vmas_.Split(fresh_, family_[2]); },
                [&] { ExpectUnchanged(); }),
            3u);
}

TEST_F(AnonVmaFamilyEnomemTest, AForkThatFailsChangesNothing) {
  EXPECT_EQ(FailEach(
                anon_vmas_, [&] { return anon_vmas_->Fork(fresh_, family_[2]); },
                [&] { ExpectUnchanged(); }),
            5u);
}

}  // namespace
}  // namespace faultline
