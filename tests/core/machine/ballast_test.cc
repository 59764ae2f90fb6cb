// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/machine/ballast.h, and of a Machine's watermarks through it: everything comes back,
// once, and an mm that runs out of memory lives on what the ballast gives.

#include "core/machine/ballast.h"

#include <gtest/gtest.h>

#include "core/machine/machine.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint64_t kRw = kProtRead | kProtWrite;
constexpr VirtAddr kPlace{1 << 30};

class BallastTest : public testing::Test {
 protected:
  BallastTest()
      : machine_(std::move(
            *Machine::Create({.memory_bytes = 2 << 20, .cpus = 1, .min_free_frames = 32}))),
        frames_(machine_->frames()),
        free_(frames_.free_frames()) {}

  /// A new mm with room for `pages` pages at kPlace.
  Mm& MakeMm(uint64_t pages) {
    Mm& mm = **machine_->CreateMm();
    MM_CHECK(mm.Mmap({.addr = kPlace,
                      .length = pages * kPageSize,
                      .prot = kRw,
                      .flags = kMapPrivate | kMapAnonymous | kMapFixed})
                 .ok());
    return mm;
  }
  static uint64_t WriteAll(Mm& mm, uint64_t pages) {
    uint64_t done = 0;
    while (done < pages && mm.Write(kPlace + done * kPageSize, done).ok()) ++done;
    return done;
  }

  const std::unique_ptr<Machine> machine_;
  FrameAllocator& frames_;
  const uint64_t free_;
};

TEST_F(BallastTest, GivesBackWhatIsAskedForAndThenAllOfTheRest) {
  Ballast ballast(frames_);
  ASSERT_TRUE(ballast.Fill(100).ok());
  EXPECT_EQ(ballast.held(), 100u);
  EXPECT_EQ(frames_.free_frames(), free_ - 100);
  EXPECT_EQ(ballast.GiveBack(0), 0u);
  EXPECT_EQ(ballast.GiveBack(30), 30u);
  EXPECT_EQ(frames_.free_above_lists(), free_ - 70);
  EXPECT_EQ(ballast.DirectReclaim(32), 32u);
  EXPECT_EQ(ballast.reclaimed(), 32);
  EXPECT_EQ(ballast.GiveBack(1000), 38u);
  EXPECT_EQ(ballast.GiveBack(1), 0u);
  EXPECT_EQ(frames_.free_frames(), free_);
  frames_.Validate();
}

TEST_F(BallastTest, GivesBackWhatIsLeftAtItsEnd) {
  {
    Ballast ballast(frames_);
    ASSERT_TRUE(ballast.Fill(10).ok());
    ASSERT_TRUE(ballast.Fill(20).ok());
    EXPECT_EQ(ballast.GiveBack(5), 5u);
    ASSERT_TRUE(ballast.Fill(1).ok());
    EXPECT_EQ(ballast.held(), 26u);
  }
  EXPECT_EQ(frames_.free_frames(), free_);
  frames_.Validate();
}

TEST_F(BallastTest, IsFilledWhollyOrNotAtAll) {
  Ballast ballast(frames_);
  ASSERT_TRUE(ballast.Fill(7).ok());
  const Result<void> filled = ballast.Fill(free_, Gfp::kNowait);
  ASSERT_FALSE(filled.ok());
  EXPECT_EQ(filled.error(), Errno::kEnomem);
  EXPECT_EQ(ballast.held(), 7u);
  EXPECT_EQ(frames_.free_frames(), free_ - 7);
}

TEST_F(BallastTest, FaultsLiveOnTheBallast) {
  Ballast ballast(frames_);
  ASSERT_TRUE(ballast.Fill(300).ok());
  machine_->SetPressureHook(&ballast);
  constexpr uint64_t kPages = 400;  // of 511 frames
  Mm& mm = MakeMm(kPages);
  EXPECT_EQ(WriteAll(mm, kPages), kPages);
  EXPECT_GT(ballast.wakeups(), 0);
  EXPECT_GT(ballast.reclaimed(), 150);
  EXPECT_EQ(frames_.events().Sum(AllocEvent::kDirectReclaimed), ballast.reclaimed());
  EXPECT_EQ(frames_.events().Sum(AllocEvent::kFailedKernel), 0);
  machine_->Validate();
  mm.DropUser();
  machine_->SetPressureHook(nullptr);
}

TEST_F(BallastTest, AFreerBesideThemSparesAllocationsReclaim) {
  // What is given back before it is missed is never reclaimed (B40).
  Ballast ballast(frames_);
  ASSERT_TRUE(ballast.Fill(300).ok());
  machine_->SetPressureHook(&ballast);
  Mm& mm = MakeMm(400);
  for (uint64_t page = 0; page < 400; ++page) {
    if (frames_.free_above_lists() < frames_.watermarks().high) (void)ballast.GiveBack(8);
    ASSERT_TRUE(mm.Write(kPlace + page * kPageSize, page).ok());
  }
  EXPECT_EQ(ballast.reclaimed(), 0);
  EXPECT_EQ(frames_.events().Sum(AllocEvent::kAllocstall), 0);
  mm.DropUser();
  machine_->SetPressureHook(nullptr);
}

TEST_F(BallastTest, AFaultThatGetsNothingMoreIsKilled) {
  Ballast ballast(frames_);
  ASSERT_TRUE(ballast.Fill(100).ok());
  machine_->SetPressureHook(&ballast);
  Mm& mm = MakeMm(600);
  const uint64_t written = WriteAll(mm, 600);
  EXPECT_LT(written, free_ - 16);
  EXPECT_EQ(mm.Write(kPlace + written * kPageSize, 1).signal, 9);
  EXPECT_EQ(ballast.held(), 0u);
  EXPECT_GE(frames_.events().Sum(AllocEvent::kFailedKernel), 1);
  EXPECT_LE(frames_.free_above_lists(), frames_.watermarks().min);
  mm.DropUser();
  machine_->SetPressureHook(nullptr);
}

TEST(MachineWatermarksTest, RefusesOptionsOutOfRange) {
  const auto why = [](const MachineOptions& options) {
    const auto machine = Machine::Create(options);
    return machine.ok() ? "ok" : std::string(Name(machine.error()));
  };
  constexpr uint64_t kBytes = 1 << 20;  // 256 frames
  EXPECT_EQ(why({.memory_bytes = kBytes, .min_free_frames = 170}), "ok");
  EXPECT_EQ(why({.memory_bytes = kBytes, .min_free_frames = 171}), "EINVAL");
  EXPECT_EQ(why({.memory_bytes = kBytes, .min_free_frames = ~uint64_t{0}}), "EINVAL");
  EXPECT_EQ(why({.memory_bytes = kBytes, .min_free_frames = 1, .watermark_scale = 0}), "EINVAL");
  EXPECT_EQ(why({.memory_bytes = kBytes, .min_free_frames = 1, .watermark_scale = 3001}), "EINVAL");
  EXPECT_EQ(why({.memory_bytes = kBytes, .min_free_frames = 1, .watermark_scale = 3000}), "ok");
}

}  // namespace
}  // namespace faultline
