// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/folio/frame_allocator.h with one task: what a new frame is like, when memory is
// out, injected failures, and random sequences against a set.

#include "core/folio/frame_allocator.h"

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/core/folio/frames.h"

namespace faultline {
namespace {

constexpr uint32_t Bit(FailSite site) { return 1u << static_cast<uint32_t>(site); }

void ExpectEnomem(const Result<Folio*>& result) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error(), Errno::kEnomem);
}

TEST(FrameAllocatorTest, AllButTheZeroPageIsFreeAtFirst) {
  TestFrames frames(64);
  EXPECT_EQ(frames->total_frames(), 63u);
  EXPECT_EQ(frames->free_frames(), 63u);
  EXPECT_EQ(frames->zero_folio().use(), FrameUse::kReserved);
  EXPECT_EQ(frames->PfnOf(frames->zero_folio()), frames->zero_pfn());
  frames->Validate();
}

TEST(FrameAllocatorTest, ANewFrameIsCleanWhateverItWasUsedFor) {
  TestFrames frames(64);
  Folio& used = **frames->Allocate(FrameUse::kAnon, Gfp::kKernel);
  used.owner().index.Store(5, kRelaxed);
  used.Set(kFolioDirty);
  used.AddMapping();
  used.RemoveMapping();
  frames->Put(used);
  Folio& folio = **frames->Allocate(FrameUse::kFile, Gfp::kKernel);
  ASSERT_EQ(&folio, &used);
  EXPECT_EQ(folio.use(), FrameUse::kFile);
  EXPECT_EQ(folio.refcount(), 1u);
  EXPECT_EQ(folio.mapcount(), 0);
  EXPECT_FALSE(folio.Has(kFolioDirty));
  EXPECT_EQ(folio.owner().anon_vma.Peek(), nullptr);
  EXPECT_EQ(folio.owner().mapping.Peek(), nullptr);
  EXPECT_EQ(folio.owner().index.Peek(), 0u);
  frames->Put(folio);
}

TEST(FrameAllocatorTest, NumberAndFolioLeadToEachOther) {
  TestFrames frames(64);
  Folio& folio = **frames->Allocate(FrameUse::kAnon, Gfp::kKernel);
  const Pfn pfn = frames->PfnOf(folio);
  EXPECT_NE(pfn, frames->zero_pfn());
  EXPECT_EQ(&frames->FolioOf(pfn), &folio);
  EXPECT_EQ(frames->PfnOf((&folio)[1]), pfn + 1);
  frames->Put(folio);
}

TEST(FrameAllocatorTest, TheLastReferenceFreesTheFrame) {
  TestFrames frames(64);
  Folio& folio = **frames->Allocate(FrameUse::kAnon, Gfp::kKernel);
  folio.Get(3);
  frames->Put(folio, 2);
  frames->Put(folio);
  EXPECT_EQ(frames->free_frames(), 62u);
  frames->Put(folio);
  EXPECT_EQ(frames->free_frames(), 63u);
  EXPECT_EQ(folio.use(), FrameUse::kFree);
}

TEST(FrameAllocatorTest, PuttingManyFreesThoseWithoutOtherReferences) {
  TestFrames frames(1024);
  const std::vector<Folio*> all = frames.AllocateAll();
  for (size_t i = 0; i < all.size(); i += 5) all[i]->Get();
  frames->PutAll(all);
  EXPECT_EQ(frames->free_frames(), 1023u - 205);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i]->use(), i % 5 == 0 ? FrameUse::kAnon : FrameUse::kFree) << i;
  }
  for (size_t i = 0; i < all.size(); i += 5) frames->Put(*all[i]);
  frames->PutAll({});
  EXPECT_EQ(frames->free_frames(), 1023u);
  frames->Validate();
}

TEST(FrameAllocatorTest, WhateverTheirOrderFramesThatGoBackBecomeWholeBlocks) {
  constexpr uint64_t kFrames = 4096;
  for (const char* order : {"ascending", "descending", "pairs", "shuffled"}) {
    SCOPED_TRACE(order);
    TestFrames frames(kFrames);
    std::vector<Folio*> all = frames.AllocateAll();
    std::sort(all.begin(), all.end());
    if (order[0] == 'd') std::reverse(all.begin(), all.end());
    for (size_t i = 0; order[0] == 'p' && i + 3 < all.size(); i += 4) std::swap(all[i], all[i + 2]);
    if (order[0] == 's') std::shuffle(all.begin(), all.end(), std::mt19937(5));
    frames->PutAll(all);
    frames->DrainLocal();
    frames->Validate();  // no two free blocks that belong together
    EXPECT_EQ(frames->traffic().free, kFrames - 1);
  }
}

TEST(FrameAllocatorTest, TheFrameFreedLastIsReusedFirst) {
  TestFrames frames(256);
  const std::vector<Folio*> all = frames.AllocateAll();
  for (const size_t i : {7u, 100u, 3u}) frames->Put(*all[i]);
  EXPECT_EQ(frames.AllocateAll(), (std::vector<Folio*>{all[3], all[100], all[7]}));
  frames.PutAll(all);
}

TEST(FrameAllocatorTest, EveryFrameIsHandedOutOnceAndThenThereIsNone) {
  for (const uint64_t size : {16u, 100u, 1024u, 5000u}) {
    TestFrames frames(size);
    const std::vector<Folio*> all = frames.AllocateAll();
    EXPECT_EQ(all.size(), size - 1);
    EXPECT_EQ(std::set<Folio*>(all.begin(), all.end()).size(), all.size());
    EXPECT_EQ(frames->free_frames(), 0u);
    ExpectEnomem(frames->Allocate(FrameUse::kTable, Gfp::kNowait));
    frames->Validate();
    std::vector<Folio*> shuffled = all;
    std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937(3));
    frames.PutAll(shuffled);
    EXPECT_EQ(frames->free_frames(), size - 1);
    frames->Validate();
  }
}

TEST(FrameAllocatorTest, InjectedFailuresHitTheSiteThatTheyAreFor) {
  TestFrames frames(64);
  frames.fail_points().Arm(1, FailPoints::Mode::kForEver, Bit(FailSite::kTable));
  ExpectEnomem(frames->Allocate(FrameUse::kTable, Gfp::kKernel));
  const Result<Folio*> data = frames->Allocate(FrameUse::kAnon, Gfp::kKernel);
  EXPECT_TRUE(data.ok());
  frames.fail_points().Arm(2, FailPoints::Mode::kOnce, Bit(FailSite::kFrame));
  const Result<Folio*> first = frames->Allocate(FrameUse::kAnon, Gfp::kKernel);
  EXPECT_TRUE(first.ok());
  ExpectEnomem(frames->Allocate(FrameUse::kFile, Gfp::kKernel));
  const Result<Folio*> table = frames->Allocate(FrameUse::kTable, Gfp::kKernel);
  EXPECT_TRUE(table.ok());
  frames.fail_points().Disarm();
  frames.PutAll({*data, *first, *table});
  EXPECT_EQ(frames->free_frames(), 63u);
  frames->Validate();
}

TEST(FrameAllocatorTest, FailsToBeMadeWhenTheHeapIsFull) {
  TestFrames frames(64);
  FailPoints points;
  const CpuSet cpus(1);
  for (uint64_t nth = 1;; ++nth) {
    points.Arm(nth, FailPoints::Mode::kOnce);
    frames.heap().SetFailPoints(&points);
    const auto made = FrameAllocator::Create({.frames = 64, .contents = PageContents::kBytes},
                                             frames.heap(), cpus);
    frames.heap().SetFailPoints(nullptr);
    if (points.failed() == 0) {
      EXPECT_TRUE(made.ok());
      EXPECT_GE(nth, 2u);
      return;
    }
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error(), Errno::kEnomem);
  }
}

RC_GTEST_PROP(FrameAllocatorPropertyTest, FramesInUseAreASet, ()) {
  const auto size = *rc::gen::inRange<uint64_t>(16, 400);
  const auto cpus = *rc::gen::inRange<uint32_t>(1, 5);
  TestFrames frames(size, *rc::gen::element(PageContents::kTag, PageContents::kBytes), cpus);
  std::set<uint64_t> in_use;
  const auto steps = *rc::gen::inRange(0, 600);
  for (int step = 0; step < steps; ++step) {
    if (in_use.empty() || *rc::gen::inRange(0, 100) < 55) {
      const FrameUse use = *rc::gen::element(FrameUse::kAnon, FrameUse::kFile, FrameUse::kTable);
      const Result<Folio*> folio = frames->Allocate(use, Gfp::kKernel);
      RC_ASSERT(folio.ok() == (in_use.size() < size - 1));
      if (!folio.ok()) continue;
      const uint64_t pfn = frames->PfnOf(**folio).value();
      RC_ASSERT(pfn > 0 && pfn < size && (*folio)->use() == use);
      RC_ASSERT(in_use.insert(pfn).second);
    } else {
      const auto which = *rc::gen::inRange<size_t>(0, in_use.size());
      const auto it = std::next(in_use.begin(), static_cast<ptrdiff_t>(which));
      frames->Put(frames->FolioOf(Pfn(*it)));
      in_use.erase(it);
    }
    RC_ASSERT(frames->free_frames() == size - 1 - in_use.size());
  }
  frames->Validate();
  for (const uint64_t pfn : in_use) frames->Put(frames->FolioOf(Pfn(pfn)));
}

}  // namespace
}  // namespace faultline
