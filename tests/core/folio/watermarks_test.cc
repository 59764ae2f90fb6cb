// SPDX-License-Identifier: Apache-2.0
//
// Tests of the watermarks of core/folio/frame_allocator.h with one task: where they lie, who gets a
// frame in which band, who wakes kswapd, who reclaims, and when memory is out.

#include "core/folio/watermarks.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/folio/alloc_scope.h"
#include "tests/core/folio/frames.h"

namespace faultline {
namespace {

constexpr uint64_t kMin = 64;
constexpr uint64_t kLow = 80;
constexpr uint64_t kHigh = 96;
constexpr uint64_t kFrames = 1024;

/// Notes what it is asked for, and frees what a test tells it to.
class NotingHook : public PressureHook {
 public:
  void WakeKswapd() override { ++wakes; }
  uint64_t DirectReclaim(uint64_t frames) override {
    ++reclaims;
    asked = frames;
    limits = AllocScope::Limits();
    return on_reclaim ? on_reclaim() : 0;
  }

  int wakes = 0;
  int reclaims = 0;
  uint64_t asked = 0;
  uint32_t limits = 0;
  std::function<uint64_t()> on_reclaim;
};

/// Memory with watermarks 64, 80 and 96, whose free frames a test sets.
class WatermarksTest : public testing::Test {
 protected:
  WatermarksTest() { frames_->SetPressureHook(&hook_); }
  ~WatermarksTest() override {
    frames_->SetPressureHook(nullptr);
    frames_.PutAll(held_);
    frames_->Validate();
    EXPECT_EQ(frames_->free_frames(), kFrames - 1);
  }

  /// Leaves `free` frames, all of them where the marks see them.
  void Leave(uint64_t free) {
    const int64_t below_low = Raw(AllocEvent::kBelowLow);
    const int64_t below_min = Raw(AllocEvent::kBelowMin);
    frames_->DrainLocal();
    const AllocScope scope(AllocScope::kMemalloc);
    while (frames_->free_frames() > free) {
      held_.push_back(*frames_->Allocate(FrameUse::kAnon, Gfp()));
    }
    while (frames_->free_frames() < free) {
      frames_->Put(*held_.back());
      held_.pop_back();
    }
    frames_->DrainLocal();
    own_below_low_ += Raw(AllocEvent::kBelowLow) - below_low;
    own_below_min_ += Raw(AllocEvent::kBelowMin) - below_min;
    ASSERT_EQ(frames_->free_above_lists(), free);
  }
  /// Whether an allocation with `gfp` succeeds; the frame goes back.
  [[nodiscard]] bool Gets(Gfp gfp) {
    const Result<Folio*> folio = frames_->Allocate(FrameUse::kAnon, gfp);
    if (folio.ok()) frames_->Put(**folio);
    EXPECT_TRUE(folio.ok() || folio.error() == Errno::kEnomem);
    return folio.ok();
  }
  /// The least number of free frames with which it does.
  [[nodiscard]] uint64_t Needs(Gfp gfp) {
    for (uint64_t free = kHigh; free > 0; --free) {
      Leave(free);
      if (!Gets(gfp)) return free + 1;
    }
    return 1;
  }
  [[nodiscard]] int64_t Raw(AllocEvent event) { return frames_->events().Sum(event); }
  /// But for what Leave did.
  [[nodiscard]] int64_t Count(AllocEvent event) {
    int64_t count = Raw(event);
    if (event == AllocEvent::kBelowLow) count -= own_below_low_;
    if (event == AllocEvent::kBelowMin) count -= own_below_min_;
    return count;
  }

  NotingHook hook_;
  TestFrames frames_{FrameAllocator::Options{.frames = kFrames, .min_free_frames = kMin}, 1};
  std::vector<Folio*> held_;
  int64_t own_below_low_ = 0;
  int64_t own_below_min_ = 0;
};

TEST(WatermarkFormulaTest, MarksAreAQuarterOfMinOrAShareOfMemoryApart) {
  constexpr auto kSmall = Watermarks::Of(64, 1023, 10);
  EXPECT_EQ(kSmall.min, 64u);
  EXPECT_EQ(kSmall.low, 80u);
  EXPECT_EQ(kSmall.high, 96u);
  constexpr auto kWide = Watermarks::Of(64, 100'000, 300);
  EXPECT_EQ(kWide.low, 64u + 3000);
  EXPECT_EQ(kWide.high, 64u + 6000);
  constexpr auto kOff = Watermarks::Of(0, 100'000, 300);
  EXPECT_FALSE(kOff.on());
  EXPECT_EQ(kOff.high, 0u);
}

TEST(WatermarkFormulaTest, UrgentRequestsHaveAMinOfTheirOwn) {
  constexpr auto kMarks = Watermarks::Of(64, 1023, 10);
  EXPECT_EQ(kMarks.MinFor(Gfp::kKernel), 64u);
  EXPECT_EQ(kMarks.MinFor(Gfp::kNowait), 64u);
  EXPECT_EQ(kMarks.MinFor(Gfp::kKernel | Gfp::kHigh), 32u);
  EXPECT_EQ(kMarks.MinFor(Gfp::kNowait | Gfp::kHigh), 24u);
  EXPECT_EQ(kMarks.MinFor(Gfp::kNowait | Gfp::kHigh | Gfp::kNomemalloc), 32u);
}

TEST(WatermarkFormulaTest, EveryEventHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < static_cast<size_t>(AllocEvent::kCount); ++i) {
    EXPECT_TRUE(names.insert(Name(static_cast<AllocEvent>(i))).second);
  }
}

TEST_F(WatermarksTest, AnAllocatorComparesWithMarksOfItsOwnMemory) {
  EXPECT_EQ(frames_->watermarks().min, kMin);
  EXPECT_EQ(frames_->watermarks().low, kLow);
  EXPECT_EQ(frames_->watermarks().high, kHigh);
}

TEST_F(WatermarksTest, EachClassStopsAtItsMark) {
  EXPECT_EQ(Needs(Gfp::kKernel), kMin + 1);
  EXPECT_EQ(Needs(Gfp::kNowait), kMin + 1);
  EXPECT_EQ(Needs(Gfp()), kMin + 1);
  EXPECT_EQ(Needs(Gfp::kKernel | Gfp::kHigh), kMin / 2 + 1);
  EXPECT_EQ(Needs(Gfp::kNowait | Gfp::kHigh), kMin * 3 / 8 + 1);
  EXPECT_EQ(Needs(Gfp::kNowait | Gfp::kMemalloc), 1u);
  EXPECT_EQ(Needs(Gfp::kKernel | Gfp::kMemalloc), 1u);
  EXPECT_EQ(Needs(Gfp::kNowait | Gfp::kMemalloc | Gfp::kNomemalloc), kMin + 1);
}

TEST_F(WatermarksTest, AMemallocScopeIgnoresMarksUnlessTheRequestRefuses) {
  const AllocScope scope(AllocScope::kMemalloc);
  EXPECT_EQ(Needs(Gfp::kNowait), 1u);
  EXPECT_EQ(Needs(Gfp::kNowait | Gfp::kNomemalloc), kMin + 1);
}

TEST_F(WatermarksTest, AMemallocScopeDoesNotReclaim) {
  Leave(0);
  const AllocScope scope(AllocScope::kMemalloc);
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 0);
}

TEST_F(WatermarksTest, KswapdIsWokenAtLowByThoseWhoSaySo) {
  Leave(kLow + 1);
  EXPECT_TRUE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.wakes, 0);
  Leave(kLow);
  EXPECT_TRUE(Gets(Gfp()));
  EXPECT_EQ(hook_.wakes, 0);
  Leave(kLow);
  EXPECT_TRUE(Gets(Gfp::kNowait));
  EXPECT_EQ(hook_.wakes, 1);
  Leave(kLow);
  EXPECT_TRUE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.wakes, 2);
  EXPECT_EQ(Count(AllocEvent::kKswapdWake), 2);
  EXPECT_EQ(hook_.reclaims, 0);
}

TEST_F(WatermarksTest, NowaitWakesKswapdAndNeverReclaims) {
  Leave(kMin);
  hook_.on_reclaim = [] { return 1u; };
  EXPECT_FALSE(Gets(Gfp::kNowait));
  {
    const AllocScope scope(AllocScope::kNowait);
    EXPECT_FALSE(Gets(Gfp::kKernel));
  }
  EXPECT_GE(hook_.wakes, 2);
  EXPECT_EQ(hook_.reclaims, 0);
  EXPECT_EQ(Count(AllocEvent::kFailedNowait), 2);
  EXPECT_EQ(Count(AllocEvent::kFailedKernel), 0);
  EXPECT_EQ(Count(AllocEvent::kAllocstall), 0);
}

TEST_F(WatermarksTest, ReclaimIsAskedInBatchesUntilThereIsAFrame) {
  Leave(kMin - 40);
  hook_.on_reclaim = [this] {
    for (int i = 0; i < 15; ++i) {
      frames_->Put(*held_.back());
      held_.pop_back();
    }
    return 15;
  };
  EXPECT_TRUE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 3);  // 24, 39, 54, 69
  EXPECT_EQ(hook_.asked, FrameAllocator::kReclaimBatch);
  EXPECT_EQ(Count(AllocEvent::kAllocstall), 3);
  EXPECT_EQ(Count(AllocEvent::kDirectReclaimed), 45);
  EXPECT_EQ(Count(AllocEvent::kFailedKernel), 0);
}

TEST_F(WatermarksTest, OutOfMemoryIsSaidAfterNoProgress) {
  Leave(kMin);
  int left = 3;
  hook_.on_reclaim = [&] { return --left > 0 ? 1u : 0u; };  // says so, and frees none
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 3);
  EXPECT_EQ(Count(AllocEvent::kFailedKernel), 1);
}

TEST_F(WatermarksTest, ReclaimThatOnlySaysThatItFreedIsRetriedSixteenTimes) {
  Leave(kMin);
  hook_.on_reclaim = [] { return 1u; };
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 17);
  EXPECT_EQ(Count(AllocEvent::kFailedKernel), 1);
}

TEST_F(WatermarksTest, AFrameThatAppearsStartsTheRetriesAgain) {
  Leave(kMin - 10);
  hook_.on_reclaim = [this] {
    if (hook_.reclaims % 10 == 0) {  // 10 rounds for each frame, of which 11 are needed
      frames_->Put(*held_.back());
      held_.pop_back();
    }
    return 1u;
  };
  EXPECT_TRUE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 110);
}

TEST_F(WatermarksTest, AKilledTaskStopsReclaiming) {
  Leave(kMin);
  hook_.on_reclaim = [] {
    CurrentTask().Kill();
    return 1u;
  };
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 1);
  CurrentTask().ClearKill();
}

TEST_F(WatermarksTest, WhatOthersFreedMeanwhileCountsThoughReclaimGotNothing) {
  Leave(kMin);
  hook_.on_reclaim = [&] {
    frames_->Put(*held_.back());
    held_.pop_back();
    return 0u;
  };
  EXPECT_TRUE(Gets(Gfp::kKernel));
  EXPECT_EQ(Count(AllocEvent::kAllocstall), 1);
  EXPECT_EQ(Count(AllocEvent::kDirectReclaimed), 0);
}

TEST_F(WatermarksTest, ReclaimMayAllocateBelowTheMarksAndLearnsWhatItMayDo) {
  Leave(kMin);
  hook_.on_reclaim = [&] {
    EXPECT_TRUE(Gets(Gfp::kKernel));
    return 0u;
  };
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.reclaims, 1);
  EXPECT_EQ(hook_.limits, uint32_t{AllocScope::kMemalloc});
  EXPECT_FALSE(Gets(Gfp::kKernel.Without(Gfp::kFs)));
  EXPECT_EQ(hook_.limits, AllocScope::kMemalloc | AllocScope::kNoFs);
  EXPECT_EQ(AllocScope::Depth(), 0u);
  const AllocScope noio(AllocScope::kNoIo);
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.limits, AllocScope::kMemalloc | AllocScope::kNoFs | AllocScope::kNoIo);
}

TEST_F(WatermarksTest, SuccessIsCountedByBandAndOnlyOnTheSlowPath) {
  Leave(kHigh);
  EXPECT_TRUE(Gets(Gfp::kKernel));
  Leave(kLow);
  EXPECT_TRUE(Gets(Gfp::kKernel));
  Leave(kMin);
  EXPECT_TRUE(Gets(Gfp::kNowait | Gfp::kHigh));
  EXPECT_EQ(Count(AllocEvent::kBelowLow), 1);
  EXPECT_EQ(Count(AllocEvent::kBelowMin), 1);
  // Reclaim, or somebody else, frees plenty.
  hook_.on_reclaim = [&] {
    Leave(kHigh + 100);
    return 100;
  };
  EXPECT_TRUE(Gets(Gfp::kKernel));
  EXPECT_EQ(Count(AllocEvent::kAboveLow), 1);
}

TEST_F(WatermarksTest, OnlyFailuresThatNobodyExpectedAreWarnedOf) {
  Leave(kMin);
  EXPECT_FALSE(Gets(Gfp::kNowait));
  EXPECT_EQ(Count(AllocEvent::kWarned), 0);
  EXPECT_FALSE(Gets(Gfp::kNowait.Without(Gfp::kNowarn)));
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(Count(AllocEvent::kWarned), 2);
}

TEST_F(WatermarksTest, FramesOnListsCountAsTakenUntilTheyAreDrained) {
  Leave(kMin);
  frames_->Put(*held_.back());
  held_.pop_back();
  EXPECT_FALSE(Gets(Gfp::kNowait));
  frames_->DrainLocal();
  EXPECT_TRUE(Gets(Gfp::kNowait));
}

TEST_F(WatermarksTest, WithoutAHookTheMarksHoldAllTheSame) {
  frames_->SetPressureHook(nullptr);
  Leave(kMin);
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_FALSE(Gets(Gfp::kNowait));
  EXPECT_TRUE(Gets(Gfp::kNowait | Gfp::kHigh));
  EXPECT_EQ(Count(AllocEvent::kKswapdWake), 0);
  EXPECT_EQ(Count(AllocEvent::kAllocstall), 0);
}

TEST_F(WatermarksTest, AnInjectedFailureReachesNoHook) {
  Leave(kMin);
  frames_.fail_points().Arm(1, FailPoints::Mode::kOnce);
  EXPECT_FALSE(Gets(Gfp::kKernel));
  EXPECT_EQ(hook_.wakes + hook_.reclaims, 0);
  frames_.fail_points().Disarm();
}

TEST(NoWatermarksTest, ReclaimThatOnlySaysThatItFreedIsRetriedSixteenTimes) {
  TestFrames frames(64);
  NotingHook hook;
  frames->SetPressureHook(&hook);
  std::vector<Folio*> all;
  while (all.size() < 63) all.push_back(*frames->Allocate(FrameUse::kAnon, Gfp::kNowait));
  hook.on_reclaim = [] { return 1u; };
  EXPECT_FALSE(frames->Allocate(FrameUse::kAnon, Gfp::kKernel).ok());
  EXPECT_EQ(hook.reclaims, 17);
  frames->SetPressureHook(nullptr);
  frames.PutAll(all);
}

TEST(NoWatermarksTest, TheLastFrameIsHadByEverybodyAndOnlyThenReclaimIsAsked) {
  TestFrames frames(64);
  NotingHook hook;
  frames->SetPressureHook(&hook);
  std::vector<Folio*> all;
  while (all.size() < 63) all.push_back(*frames->Allocate(FrameUse::kAnon, Gfp::kNowait));
  EXPECT_EQ(hook.wakes, 0);
  EXPECT_FALSE(frames->Allocate(FrameUse::kAnon, Gfp::kNowait).ok());
  EXPECT_EQ(hook.reclaims, 0);
  hook.on_reclaim = [&] {
    frames->Put(*all.back());
    all.pop_back();
    return 1u;
  };
  all.push_back(*frames->Allocate(FrameUse::kAnon, Gfp::kKernel));
  EXPECT_EQ(hook.reclaims, 1);
  EXPECT_EQ(hook.wakes, 2);
  frames->SetPressureHook(nullptr);
  frames.PutAll(all);
  frames->Validate();
}

}  // namespace
}  // namespace faultline
