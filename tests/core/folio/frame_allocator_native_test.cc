// SPDX-License-Identifier: Apache-2.0
//
// What of core/folio needs real threads or real memory: frames on the lists of other CPUs, and what
// a large machine costs.

#include <cstdint>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/folio/frames.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

/// Bytes of real memory that this process has.
uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

TEST(FrameAllocatorNativeTest, TheListsOfOtherCpusAreDrainedBeforeEnomem) {
  TestFrames frames(1024, PageContents::kTag, /*cpus=*/8);
  const std::vector<Folio*> all = frames.AllocateAll();
  for (size_t part = 0; part < 4; ++part) {
    // Threads that are alive together have tasks, and so CPUs, of their own.
    TestThread idle([] {});
    TestThread freeing([&] {
      for (size_t i = part; i < 40; i += 4) frames->Put(*all[i]);
    });
    freeing.Join();
  }
  EXPECT_EQ(frames->free_frames(), 40u);
  EXPECT_EQ(frames.AllocateAll().size(), 40u);
  frames.PutAll(all);
}

TEST(FrameAllocatorNativeTest, ALargeMachineCostsWhatIsUsedOfIt) {
  if (kAsan || kTsan) GTEST_SKIP() << "sanitizers have memory of their own";
  constexpr uint64_t kFrames = (uint64_t{64} << 30) / kPageSize;
  constexpr uint64_t kUsed = uint64_t{1} << 20;
  const uint64_t before = ResidentBytes();
  TestFrames frames(kFrames, PageContents::kTag, /*cpus=*/2);
  EXPECT_LT(ResidentBytes() - before, uint64_t{4} << 20);
  std::vector<Folio*> used;
  for (uint64_t i = 0; i < kUsed; ++i) {
    const bool is_table = i % 512 == 0;
    used.push_back(*frames->Allocate(is_table ? FrameUse::kTable : FrameUse::kAnon, Gfp::kKernel));
    if (is_table) {
      frames->Table(*used.back())[0].Store(1, kRelaxed);
    } else {
      frames->Zero(*used.back());
    }
  }
  const uint64_t cost = ResidentBytes() - before;
  EXPECT_LT(cost, uint64_t{150} << 20);
  RecordProperty("mebibytes", static_cast<int>(cost >> 20));
  for (Folio* folio : used) {
    if (folio->use() == FrameUse::kTable) frames->Table(*folio)[0].Store(0, kRelaxed);
  }
  frames.PutAll(used);
}

}  // namespace
}  // namespace faultline
