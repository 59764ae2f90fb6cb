// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/pagecache/mapping.h with one task: pages are made once and stay, everything is
// given back in the end, and memory may run out at each place.

#include "core/pagecache/mapping.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/folio/frames.h"

namespace faultline {
namespace {

class MappingTest : public ::testing::Test {
 protected:
  ~MappingTest() override { Rcu::Barrier(); }

  [[nodiscard]] Mapping& NewMapping(uint64_t bytes = 4 * kPageSize) {
    return **Mapping::Create({.name = "/lib/libc.so", .inode = 7, .bytes = bytes}, *frames_,
                             frames_.heap());
  }
  [[nodiscard]] std::vector<const Vma*> VmasOf(Mapping& mapping) {
    const ReadGuard guard(mapping.i_mmap());
    std::vector<const Vma*> vmas;
    for (const Vma& vma : mapping.vmas()) vmas.push_back(&vma);
    return vmas;
  }

  TestFrames frames_{64};
};

TEST_F(MappingTest, KnowsWhatItWasMadeWith) {
  Mapping& mapping = NewMapping();
  EXPECT_EQ(mapping.kind(), Mapping::Kind::kFile);
  EXPECT_EQ(mapping.name(), "/lib/libc.so");
  EXPECT_EQ(mapping.inode(), 7u);
  mapping.Put();
}

TEST_F(MappingTest, ASizeIsRoundedUpToPages) {
  for (const auto& [bytes, pages] : {std::pair<uint64_t, uint64_t>{0, 0},
                                     {1, 1},
                                     {kPageSize, 1},
                                     {kPageSize + 1, 2},
                                     {~uint64_t{0}, uint64_t{1} << 52}}) {
    Mapping& mapping = NewMapping(bytes);
    EXPECT_EQ(mapping.page_count(), pages);
    mapping.Put();
  }
}

TEST_F(MappingTest, APageIsMadeOnceZeroedAndKnowsWhoseItIs) {
  Mapping& mapping = NewMapping();
  EXPECT_EQ(mapping.Find(PageIndex(2)), nullptr);
  Folio& made = **mapping.FindOrCreate(PageIndex(2), Gfp::kKernel);
  EXPECT_EQ(made.refcount(), 2u);  // the index and we
  EXPECT_EQ(made.use(), FrameUse::kFile);
  EXPECT_EQ(made.owner().mapping.Peek(), &mapping);
  EXPECT_EQ(made.owner().index.Peek(), 2u);
  EXPECT_TRUE(made.Has(kFolioUptodate));
  EXPECT_EQ(frames_->LoadWord(made, 0), 0u);
  EXPECT_EQ(*mapping.FindOrCreate(PageIndex(2), Gfp::kKernel), &made);
  EXPECT_EQ(mapping.Find(PageIndex(2)), &made);
  EXPECT_EQ(made.refcount(), 4u);
  EXPECT_EQ(mapping.resident_pages(), 1u);
  frames_->Put(made, 3);
  mapping.Put();
}

TEST_F(MappingTest, ItsEndFreesEveryPageThatNobodyElseHolds) {
  Mapping& mapping = NewMapping();
  Folio* held = *mapping.FindOrCreate(PageIndex(0), Gfp::kKernel);
  for (uint64_t i = 1; i < 4; ++i) {
    frames_->Put(**mapping.FindOrCreate(PageIndex(i), Gfp::kKernel));
  }
  mapping.Get();
  mapping.Put();
  EXPECT_EQ(frames_->free_frames(), frames_->total_frames() - 4);
  mapping.Put();
  EXPECT_EQ(frames_->free_frames(), frames_->total_frames() - 1);
  frames_->Put(*held);
}

TEST_F(MappingTest, APageAddedByALateReaderGoesWithIt) {
  Mapping& mapping = NewMapping();
  {
    const RcuGuard late;
    // In the modelled build there is no grace period outside of an execution.
    if (!kModelled) mapping.Put();
    frames_->Put(**mapping.FindOrCreate(PageIndex(0), Gfp::kNowait));
  }
  if (kModelled) mapping.Put();
  Rcu::Barrier();
  EXPECT_EQ(frames_->free_frames(), frames_->total_frames());
}

TEST_F(MappingTest, WithoutAFrameThereIsNoPage) {
  Mapping& mapping = NewMapping();
  frames_.fail_points().Arm(1, FailPoints::Mode::kOnce);
  const Result<Folio*> refused = mapping.FindOrCreate(PageIndex(0), Gfp::kKernel);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error(), Errno::kEnomem);
  EXPECT_EQ(mapping.resident_pages(), 0u);
  const Result<Folio*> folio = mapping.FindOrCreate(PageIndex(0), Gfp::kKernel);
  ASSERT_TRUE(folio.ok());
  frames_->Put(**folio);
  mapping.Put();
}

TEST_F(MappingTest, WithoutMemoryThereIsNoMapping) {
  frames_.heap().SetFailPoints(&frames_.fail_points());
  frames_.fail_points().Arm(1, FailPoints::Mode::kOnce);
  const Result<Mapping*> mapping = Mapping::Create({}, *frames_, frames_.heap());
  ASSERT_FALSE(mapping.ok());
  EXPECT_EQ(mapping.error(), Errno::kEnomem);
}

TEST_F(MappingTest, ListsTheVmasThatMapIt) {
  Mapping& mapping = NewMapping();
  Vma first;
  Vma second;
  mapping.Link(first);
  mapping.Link(second);
  EXPECT_THAT(VmasOf(mapping), ::testing::ElementsAre(&first, &second));
  mapping.Unlink(first);
  EXPECT_THAT(VmasOf(mapping), ::testing::ElementsAre(&second));
  mapping.Unlink(second);
  EXPECT_TRUE(VmasOf(mapping).empty());
  mapping.Put();
}

}  // namespace
}  // namespace faultline
