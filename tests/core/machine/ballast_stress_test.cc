// SPDX-License-Identifier: Apache-2.0
//
// Real threads at the watermarks: some allocate, with and without sleeping, one frees slowly from a
// Ballast that is also their hook. Every frame comes back, and the count that the marks are
// compared with is right at the end.

#include <cstdint>

#include <gtest/gtest.h>

#include "core/machine/ballast.h"
#include "tests/core/folio/frames.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

TEST(BallastStressTest, AllocatorsAtTheMarksBesideAFreerLoseNothing) {
  constexpr int kThreads = 5;
  constexpr uint64_t kFrames = 2048;
  const int rounds = StressRounds(40'000);
  TestFrames frames(FrameAllocator::Options{.frames = kFrames, .min_free_frames = 128}, kThreads);
  {
    Ballast ballast(*frames);
    ASSERT_TRUE(ballast.Fill(1500).ok());
    frames->SetPressureHook(&ballast);
    RunTogether(kThreads, [&](int thread) {
      if (thread == 0) {
        for (int i = 0; i < 600; ++i) (void)ballast.GiveBack(1);
      } else {
        FillAndEmpty(*frames, thread % 2 == 0 ? Gfp::kKernel : Gfp::kNowait, rounds,
                     /*most=*/kFrames);
      }
    });
    EXPECT_EQ(frames->free_frames() + ballast.held(), kFrames - 1);
    EXPECT_GT(frames->events().Sum(AllocEvent::kKswapdWake), 0);
    frames->SetPressureHook(nullptr);
  }
  EXPECT_EQ(frames->free_frames(), kFrames - 1);
  frames->Validate();
}

}  // namespace
}  // namespace faultline
