// SPDX-License-Identifier: Apache-2.0
//
// A Ballast under the explorer: two tasks that allocate at the min watermark, with it as their
// hook, beside a freer that gives its frames back one at a time, under every schedule within the
// bound. No frame is lost or given back twice, and nobody is refused what reclaim said it freed.

#include <cstdint>
#include <vector>

#include "core/folio/alloc_scope.h"
#include "core/machine/ballast.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

/// 16 frames with min 4, at which they are; `ballast` of the others lie in the ballast.
struct AtTheMark {
  AtTheMark(Execution& run, uint64_t in_ballast)
      : cpus(2),
        frames(std::move(
            *FrameAllocator::Create({.frames = 16, .min_free_frames = 4}, run.heap(), cpus))),
        ballast(*frames) {
    MM_CHECK(ballast.Fill(in_ballast).ok());
    const AllocScope scope(AllocScope::kMemalloc);
    while (frames->free_frames() > 4) {
      taken.push_back(*frames->Allocate(FrameUse::kAnon, Gfp()));
    }
    frames->DrainLocal();
    frames->SetPressureHook(&ballast);
  }
  void Take(int i, Gfp gfp) {
    const Result<Folio*> folio = frames->Allocate(FrameUse::kAnon, gfp);
    if (folio.ok()) got[i] = *folio;
  }
  [[nodiscard]] uint64_t Got() const {
    return (got[0] != nullptr ? 1u : 0u) + (got[1] != nullptr ? 1u : 0u);
  }
  void End() {
    MM_CHECK_EQ(frames->free_frames() + ballast.held() + taken.size() + Got(), 15u);
    for (Folio* folio : got) {
      if (folio != nullptr) frames->Put(*folio);
    }
    for (Folio* folio : taken) frames->Put(*folio);
    frames->SetPressureHook(nullptr);
    (void)ballast.GiveBack(ballast.held());
    frames->Validate();
    this->~AtTheMark();
  }

  CpuSet cpus;
  FrameAllocator::Ptr frames;
  Ballast ballast;
  std::vector<Folio*> taken;
  Folio* got[2] = {};
};

TEST(BallastExploredTest, TwoAllocatorsBesideAFreer) {
  ExpectClean([](Execution& run) {
    auto* machine = run.New<AtTheMark>(run, 3);
    for (int i = 0; i < 2; ++i) {
      run.Spawn(i == 0 ? "first" : "second", [=] { machine->Take(i, Gfp::kKernel); });
    }
    run.Spawn("frees", [=] {
      (void)machine->ballast.GiveBack(1);
      (void)machine->ballast.GiveBack(1);
    });
    run.AtEnd([=] {
      // One may be refused, in the moment that the other, or the freer, has claimed the last frames
      // of the ballast and has not put them yet.
      MM_CHECK_GE(machine->Got(), 1u);
      MM_CHECK_LE(machine->ballast.held(), 1u);
      machine->End();
    });
  });
}

TEST(BallastExploredTest, AFrameIsGivenBackOnceWhoeverAsks) {
  ExpectClean([](Execution& run) {
    auto* machine = run.New<AtTheMark>(run, 3);
    auto* given = run.New<Atomic<uint64_t>>(0);
    for (int i = 0; i < 2; ++i) {
      run.Spawn(i == 0 ? "first" : "second",
                [=] { given->FetchAdd(machine->ballast.GiveBack(2), kRelaxed); });
    }
    run.AtEnd([=] {
      MM_CHECK_EQ(given->Peek(), 3u);
      MM_CHECK_EQ(machine->ballast.held(), 0u);
      machine->End();
    });
  });
}

TEST(BallastExploredTest, AnAllocationThatDoesNotSleepSucceedsWhereSomebodyElseFreed) {
  // Both ends are seen: refused, and helped by the freer without any reclaim (B40).
  static bool helped;
  static bool refused;
  helped = refused = false;
  ExpectClean([](Execution& run) {
    auto* machine = run.New<AtTheMark>(run, 1);
    run.Spawn("allocates", [=] { machine->Take(0, Gfp::kNowait | Gfp::kNomemalloc); });
    run.Spawn("frees", [=] { (void)machine->ballast.GiveBack(1); });
    run.AtEnd([=] {
      (machine->Got() == 1 ? helped : refused) = true;
      MM_CHECK_EQ(machine->ballast.reclaimed(), 0);
      machine->End();
    });
  });
  EXPECT_TRUE(helped);
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace faultline
