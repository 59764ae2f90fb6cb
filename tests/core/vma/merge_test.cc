// SPDX-License-Identifier: Apache-2.0
//
// The merge rules by themselves: each reason to refuse on each side, all combinations of anon_vmas
// and forks, and what the kernel does where both neighbours would merge but not with each other.
//
// The expectations restate Linux's rules (mm/vma.c); that the kernel behaves so is what
// tests/oracle asks.
#include "core/vma/merge.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

using enum MergeRefusal;

// Only compared, never followed.
const Mapping* MappingNo(uintptr_t n) { return reinterpret_cast<const Mapping*>(n * 64); }
const AnonVma* AnonVmaNo(uintptr_t n) { return reinterpret_cast<const AnonVma*>(n * 64); }

constexpr VmaFlags kReadWrite = vma_flag::kRead | vma_flag::kWrite;

/// Anonymous memory of pages [first, end) that was never moved.
VmaShape Pages(uint64_t first, uint64_t end) {
  return {.range = VirtRange(VirtAddr(first * kPageSize), VirtAddr(end * kPageSize)),
          .flags = kReadWrite,
          .pgoff = PageIndex(first)};
}

const VmaShape kPrevious = Pages(10, 12);
const VmaShape kProposed = Pages(12, 14);
const VmaShape kNext = Pages(14, 16);

TEST(MergeTest, UnfaultedNeighboursOfOneKindMergeOnBothSides) {
  const MergeDecision decision = DecideMerge(kPrevious, kProposed, kNext);
  EXPECT_TRUE(decision.previous());
  EXPECT_TRUE(decision.next());
}

TEST(MergeTest, NothingMergesWithoutNeighboursOrAcrossAGap) {
  EXPECT_FALSE(DecideMerge(std::nullopt, kProposed, std::nullopt).any());
  const MergeDecision decision = DecideMerge(Pages(10, 11), kProposed, Pages(15, 16));
  EXPECT_EQ(decision.with_previous, kNoNeighbour);
  EXPECT_EQ(decision.with_next, kNoNeighbour);
}

TEST(MergeTest, OneSideMergesAlone) {
  EXPECT_TRUE(DecideMerge(kPrevious, kProposed, std::nullopt).previous());
  EXPECT_TRUE(DecideMerge(std::nullopt, kProposed, kNext).next());
}

/// What one change of the proposal does to both sides.
struct RefusalCase {
  const char* name;
  void (*change)(VmaShape&);
  MergeRefusal refusal;
};

class MergeRefusalTest : public testing::TestWithParam<RefusalCase> {};

TEST_P(MergeRefusalTest, IsTheSameOnBothSides) {
  VmaShape proposed = kProposed;
  GetParam().change(proposed);
  const MergeDecision decision = DecideMerge(kPrevious, proposed, kNext);
  EXPECT_EQ(decision.with_previous, GetParam().refusal);
  EXPECT_EQ(decision.with_next, GetParam().refusal);
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, MergeRefusalTest,
    testing::Values(
        RefusalCase{"flags", [](VmaShape& vma) { vma.flags = vma_flag::kRead; }, kFlags},
        RefusalCase{"committed", [](VmaShape& vma) { vma.flags |= vma_flag::kAccount; }, kFlags},
        RefusalCase{"special", [](VmaShape& vma) { vma.flags |= vma_flag::kDontExpand; }, kSpecial},
        RefusalCase{"mapping", [](VmaShape& vma) { vma.mapping = MappingNo(1); }, kMapping},
        RefusalCase{"pgoff", [](VmaShape& vma) { vma.pgoff = PageIndex(500); }, kPgoff}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(MergeTest, FilesMergeOnlyWhereTheOffsetGoesOn) {
  VmaShape previous = kPrevious;
  VmaShape proposed = kProposed;
  VmaShape next = kNext;
  for (VmaShape* vma : {&previous, &proposed, &next}) vma->mapping = MappingNo(1);
  previous.pgoff = PageIndex(0);
  proposed.pgoff = PageIndex(2);
  next.pgoff = PageIndex(5);  // one page is left out
  const MergeDecision decision = DecideMerge(previous, proposed, next);
  EXPECT_TRUE(decision.previous());
  EXPECT_EQ(decision.with_next, kPgoff);
}

/// An anon_vma (0: none) and whether the VMA was forked.
struct Owner {
  uintptr_t anon_vma;
  bool forked;
};

VmaShape With(VmaShape vma, Owner owner) {
  vma.anon_vma = owner.anon_vma == 0 ? nullptr : AnonVmaNo(owner.anon_vma);
  vma.is_fork_child = owner.forked;
  return vma;
}

/// The rule in words: equal ones do not object, two different ones do; where one side has none, the
/// other must not have been forked.
MergeRefusal Expected(Owner neighbour, Owner proposed) {
  if (neighbour.anon_vma == proposed.anon_vma) return kNone;
  if (neighbour.anon_vma != 0 && proposed.anon_vma != 0) return kAnonVma;
  return (neighbour.anon_vma != 0 ? neighbour.forked : proposed.forked) ? kForkChild : kNone;
}

TEST(MergeTest, AnonVmasObjectInEveryCombinationAsLinuxSays) {
  constexpr Owner kOwners[] = {{0, false}, {1, false}, {1, true}, {2, false}, {2, true}};
  for (const Owner previous : kOwners) {
    for (const Owner proposed : kOwners) {
      for (const Owner next : kOwners) {
        const MergeDecision decision =
            DecideMerge(With(kPrevious, previous), With(kProposed, proposed), With(kNext, next));
        const MergeRefusal with_previous = Expected(previous, proposed);
        MergeRefusal with_next = Expected(next, proposed);
        const bool rivals =
            previous.anon_vma != 0 && next.anon_vma != 0 && previous.anon_vma != next.anon_vma;
        if (with_previous == kNone && with_next == kNone && rivals) with_next = kOtherNeighbour;
        EXPECT_EQ(decision.with_previous, with_previous);
        EXPECT_EQ(decision.with_next, with_next);
      }
    }
  }
}

TEST(MergeTest, CountsEachReasonOnce) {
  MergeCounts counts;
  counts.Note(DecideMerge(kPrevious, kProposed, std::nullopt));
  EXPECT_EQ(counts.previous[static_cast<size_t>(kNone)], 1u);
  EXPECT_EQ(counts.next[static_cast<size_t>(kNoNeighbour)], 1u);
}

}  // namespace
}  // namespace faultline
