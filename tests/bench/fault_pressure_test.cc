// SPDX-License-Identifier: Apache-2.0
//
// That memory pressure of fault_bench is what its names say: free memory is at its level before and
// after windows, allocations there fare as told, and everything comes back. Nothing here depends on
// time.
#include "tests/bench/fault_pressure.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/bench/fault_bank.h"

namespace faultline::bench {
namespace {

class FaultPressureTest : public testing::Test {
 protected:
  FaultPressureTest()
      : machine_(NewMachine(
            WithWatermarks({.memory_bytes = 64 << 20, .cpus = 4, .contents = PageContents::kTag}))),
        frames_(machine_->frames()),
        marks_(frames_.watermarks()),
        free_(frames_.free_frames()) {}

  /// Whether a frame is to be had; it goes back at once, to the list of this CPU.
  bool CanAllocate(Gfp gfp) {
    const Result<Folio*> folio = frames_.Allocate(FrameUse::kAnon, gfp);
    if (folio.ok()) frames_.Put(**folio);
    return folio.ok();
  }
  [[nodiscard]] int64_t Events(AllocEvent event) const { return frames_.events().Sum(event); }

  const std::unique_ptr<Machine> machine_;
  FrameAllocator& frames_;
  const Watermarks marks_;
  const uint64_t free_;
};

TEST_F(FaultPressureTest, MarksLeaveRoomForAPhase) {
  const uint64_t phase = (64 << 20) / kPageSize / 2;
  EXPECT_GT(marks_.low - marks_.min, phase);
  EXPECT_GT(frames_.total_frames() - marks_.high, phase);
}

TEST_F(FaultPressureTest, PutsFreeMemoryAtItsLevelAndGivesAllBack) {
  const auto free_at = [&](FreeMemory free) {
    const Pressure pressure(*machine_, free);
    return frames_.free_above_lists();
  };
  EXPECT_GT(free_at(FreeMemory::kPlenty), marks_.high);
  EXPECT_EQ(free_at(FreeMemory::kAtLowMark), marks_.low);
  EXPECT_EQ(free_at(FreeMemory::kAtMin), marks_.min);
  EXPECT_LT(free_at(FreeMemory::kBelowMin), marks_.min);
  EXPECT_EQ(frames_.free_frames(), free_);
  frames_.Validate();
}

TEST_F(FaultPressureTest, AtTheLowMarkKswapdIsWokenAndEverybodyServed) {
  const Pressure pressure(*machine_, FreeMemory::kAtLowMark);
  EXPECT_TRUE(CanAllocate(Gfp::kNowait | Gfp::kNomemalloc));
  EXPECT_TRUE(CanAllocate(Gfp::kKernel));
  EXPECT_EQ(Events(AllocEvent::kKswapdWake), 2);
  EXPECT_EQ(Events(AllocEvent::kAllocstall), 0);
}

TEST_F(FaultPressureTest, AtMinReclaimServesTheNextOnesToo) {
  Pressure pressure(*machine_, FreeMemory::kAtMin);
  EXPECT_FALSE(CanAllocate(Gfp::kNowait));
  EXPECT_TRUE(CanAllocate(Gfp::kKernel));
  EXPECT_EQ(pressure.ballast().reclaimed(), int64_t{FrameAllocator::kReclaimBatch});
  frames_.DrainLocal();
  EXPECT_TRUE(CanAllocate(Gfp::kNowait));
  EXPECT_EQ(Events(AllocEvent::kAllocstall), 1);
}

TEST_F(FaultPressureTest, BelowMinReclaimYieldsOneFrameForEachThatIsKept) {
  constexpr int kFrames = 200;
  Pressure pressure(*machine_, FreeMemory::kBelowMin);
  const uint64_t held = pressure.ballast().held();
  std::vector<Folio*> kept;
  for (int i = 0; i < kFrames; ++i) {
    EXPECT_FALSE(CanAllocate(Gfp::kNowait | Gfp::kNomemalloc));
    const Result<Folio*> folio = frames_.Allocate(FrameUse::kAnon, Gfp::kKernel);
    ASSERT_TRUE(folio.ok());
    kept.push_back(*folio);
    EXPECT_LE(frames_.free_above_lists(), marks_.min);
  }
  EXPECT_EQ(Events(AllocEvent::kAllocstall), kFrames);
  // And what was missing to min, once.
  EXPECT_EQ(held - pressure.ballast().held(), kFrames + FrameAllocator::kReclaimBatch);
  for (Folio* const folio : kept) frames_.Put(*folio);
}

TEST_F(FaultPressureTest, ABallastThatIsEmptyEndsInOom) {
  Pressure pressure(*machine_, FreeMemory::kBelowMin);
  (void)pressure.ballast().GiveBack(pressure.ballast().held());
  const uint64_t all = frames_.free_frames();
  std::vector<Folio*> kept;
  while (true) {
    const Result<Folio*> folio = frames_.Allocate(FrameUse::kAnon, Gfp::kKernel);
    if (!folio.ok()) break;
    kept.push_back(*folio);
    ASSERT_LE(kept.size(), all);
  }
  EXPECT_GE(kept.size(), all - marks_.min - FrameAllocator::kReclaimBatch);
  for (Folio* const folio : kept) frames_.Put(*folio);
}

TEST_F(FaultPressureTest, EstablishesTheLevelAgain) {
  for (const FreeMemory free :
       {FreeMemory::kAtLowMark, FreeMemory::kAtMin, FreeMemory::kBelowMin}) {
    Pressure pressure(*machine_, free);
    const uint64_t level = frames_.free_above_lists();
    (void)pressure.ballast().GiveBack(1000);
    EXPECT_EQ(frames_.free_above_lists(), level + 1000);
    pressure.Establish();
    EXPECT_EQ(frames_.free_above_lists(), level) << Name(free);
  }
  EXPECT_EQ(frames_.free_frames(), free_);
}

TEST_F(FaultPressureTest, AFreerFreesWhileItIsOnAlone) {
  Ballast ballast(frames_);
  ASSERT_TRUE(ballast.Fill(1000).ok());
  {
    Freer freer;
    freer.On(ballast, /*per_ms=*/100);
    while (ballast.held() > 900) std::this_thread::yield();
    freer.Off();
    const uint64_t left = ballast.held();
    EXPECT_EQ(freer.freed(), 1000 - left);
    freer.On(ballast, /*per_ms=*/0);
    freer.Off();
    EXPECT_EQ(ballast.held(), left);
  }
}

/// One window of each policy in a bank.
class FaultBankTest : public testing::TestWithParam<SchemeName> {
 protected:
  Window Run(FreeMemory free, TableAlloc policy, uint64_t stride,
             std::optional<FreerAtRate> freer = std::nullopt) {
    FaultBenchOptions options;
    options.touches = 512;
    Bank bank(free, options, DefaultsOf(GetParam()));
    return bank.Run(crew_, static_cast<size_t>(policy),
                    {.touches = 512, .stride = stride, .settle = true, .each = true, .seconds = 0},
                    freer);
  }

  Crew crew_{1};
};

TEST_P(FaultBankTest, AboveTheLowMarkNothingFails) {
  const Window window = Run(FreeMemory::kPlenty, TableAlloc::kNowaitReclaimRetry, kPmdSize);
  EXPECT_EQ(window.failed, 0u);
  EXPECT_EQ(Of(window.counts, FaultCount::kTableFailures), 0u);
  EXPECT_EQ(Of(window.counts, FaultCount::kKswapdWakes), 0u);
  EXPECT_GT(window.p99_ns, 0);
}

TEST_P(FaultBankTest, AtTheLowMarkKswapdIsWokenForEachFaultAndNothingFails) {
  const Window window = Run(FreeMemory::kAtLowMark, TableAlloc::kGfpArgument, kPmdSize);
  EXPECT_EQ(window.failed, 0u);
  EXPECT_EQ(Of(window.counts, FaultCount::kTableFailures), 0u);
  EXPECT_EQ(Of(window.counts, FaultCount::kReclaimEntries), 0u);
  EXPECT_GE(Of(window.counts, FaultCount::kKswapdWakes), window.faults);
  EXPECT_EQ(window.reclaimed, 0u);
}

TEST_P(FaultBankTest, BelowMinTablesFailWithoutSleepingAndFaultsEndWell) {
  for (const TableAlloc policy : {TableAlloc::kGfpArgument, TableAlloc::kNowaitReclaimRetry}) {
    const Window window = Run(FreeMemory::kBelowMin, policy, kPmdSize);
    EXPECT_EQ(window.failed, 0u);
    EXPECT_EQ(window.reclaimed, window.faults);
    EXPECT_GE(Of(window.counts, FaultCount::kReclaimEntries), 2 * window.faults);
  }
}

TEST_P(FaultBankTest, WithoutAFreerFaultsAtMinLiveOnReclaim) {
  Freer freer;
  const Window window = Run(FreeMemory::kAtMin, TableAlloc::kNowaitReclaimRetry, kPmdSize,
                            FreerAtRate{freer, /*per_ms=*/0});
  EXPECT_EQ(window.failed, 0u);
  EXPECT_EQ(Of(window.counts, FaultCount::kFreedByOthers), 0u);
  EXPECT_GT(window.reclaimed, 0u);
  EXPECT_LT(window.reclaimed, window.faults);
}

INSTANTIATE_TEST_SUITE_P(Schemes, FaultBankTest,
                         testing::Values(SchemeName::kMmapLock, SchemeName::kVmaRefcnt,
                                         SchemeName::kRcuRestart, SchemeName::kRcuContinue),
                         [](const auto& scheme) { return std::string(Name(scheme.param)); });

}  // namespace
}  // namespace faultline::bench
