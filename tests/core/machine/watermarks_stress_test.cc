// SPDX-License-Identifier: Apache-2.0
//
// Real threads that allocate while another one moves the watermarks, switches them off and on
// again, and reads them. An allocation may meet old marks or new ones; afterwards every frame is
// back, and the marks and the count that they are compared with are those of the last change.

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "core/machine/machine.h"
#include "tests/core/folio/frames.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

constexpr int kThreads = 4;
constexpr uint64_t kFrames = 2048;

/// Through marks from none to nearly all that there is.
void MoveMarks(Machine& machine, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const WatermarkOptions options{.min_free_frames = static_cast<uint64_t>(i % 4) * (kFrames / 8),
                                   .watermark_scale = i % 2 == 0 ? 10U : 500U};
    EXPECT_TRUE(machine.SetWatermarks(options).ok());
    // Nobody else sets them, so to this thread they are no hint.
    const WatermarkOptions now = machine.frames().watermark_options();
    EXPECT_EQ(now.min_free_frames, options.min_free_frames);
    EXPECT_EQ(now.watermark_scale, options.watermark_scale);
    EXPECT_FALSE(machine.SetWatermarks({.min_free_frames = kFrames}).ok());
  }
}

TEST(WatermarksStressTest, AllocationsBesideMovingMarksLoseNothing) {
  const int rounds = StressRounds(20'000);
  const auto machine =
      std::move(*Machine::Create({.memory_bytes = kFrames * kPageSize, .cpus = kThreads}));
  const uint64_t free_before = machine->frames().free_frames();
  RunTogether(kThreads, [&](int thread) {
    if (thread == 0) {
      MoveMarks(*machine, rounds / 4);
    } else {
      FillAndEmpty(machine->frames(), thread % 2 == 0 ? Gfp::kKernel : Gfp::kNowait, rounds,
                   /*most=*/kFrames);
    }
  });
  EXPECT_EQ(machine->frames().free_frames(), free_before);
  ASSERT_TRUE(machine->SetWatermarks({.min_free_frames = 128}).ok());
  EXPECT_EQ(machine->frames().watermarks().min, 128U);
  EXPECT_LE(machine->frames().free_above_lists(), free_before);
  machine->Validate();
}

TEST(WatermarksStressTest, FaultsBesideMovingMarksAreMadeOrRefusedWhole) {
  const int rounds = StressRounds(150);
  constexpr uint64_t kPages = 256;
  const auto machine =
      std::move(*Machine::Create({.memory_bytes = kFrames * kPageSize, .cpus = kThreads}));
  const uint64_t free_before = machine->frames().free_frames();
  RunTogether(kThreads, [&](int thread) {
    if (thread == 0) {
      MoveMarks(*machine, rounds * 8);
      return;
    }
    Mm& mm = **machine->CreateMm();
    for (int i = 0; i < rounds; ++i) {
      const Result<VirtAddr> start = mm.Mmap({.length = kPages * kPageSize,
                                              .prot = abi::kProtRead | abi::kProtWrite,
                                              .flags = abi::kMapPrivate | abi::kMapAnonymous});
      ASSERT_TRUE(start.ok());
      for (uint64_t page = 0; page < kPages; ++page) {
        const VirtAddr at = *start + page * kPageSize;
        if (!mm.Write(at, page + 1).ok()) continue;
        uint64_t word = 0;
        EXPECT_TRUE(mm.Read(at, word).ok());
        EXPECT_EQ(word, page + 1);
      }
      ASSERT_TRUE(mm.Munmap(*start, kPages * kPageSize).ok());
    }
    mm.DropUser();
  });
  machine->Validate();
  EXPECT_EQ(machine->frames().free_frames(), free_before);
}

}  // namespace
}  // namespace faultline
