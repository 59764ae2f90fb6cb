// SPDX-License-Identifier: Apache-2.0
//
// Threads on one mm. Each has pages of its own, whose every operation is compared with the naive
// model: nothing that the others do may show there, nor be lost. All work on a common area, too,
// where only validity counts, and fork: a child shows the forker's own pages as the model has them.
// At the end of some rounds one thread makes the mm exit while the others are at work.
//
// Bounded by counts. The seed is printed.

#include "tests/core/mm/stress_worker.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

constexpr int kThreads = 4;
class MmStressTest : public testing::TestWithParam<PageContents> {
 protected:
  static MachineOptions OptionsFor(PageContents contents) {
    return {.memory_bytes = 256 << 20, .object_bytes = 4ull << 30, .cpus = 4, .contents = contents};
  }
  MmWorld world_{OptionsFor(GetParam())};
};

TEST_P(MmStressTest, NoThreadLosesWhatIsItsOwn) {
  const uint64_t seed = StressSeed();
  Mm& mm = world_.NewMm();
  RunTogether(kThreads,
              [&](int thread) { StressWorker(mm, thread, seed).Work(StressRounds(20'000)); });
  mm.Validate();
  world_.End();
}

TEST_P(MmStressTest, ExitEndsAllAndNothingIsLeft) {
  const uint64_t seed = StressSeed();
  const int rounds = StressRounds(40);
  for (int round = 0; round < rounds; ++round) {
    Mm& mm = **world_.machine().CreateMm();
    for (int i = 0; i < kThreads; ++i) ASSERT_TRUE(mm.AddUser());
    const uint64_t round_seed = seed + static_cast<uint64_t>(round) * kThreads;
    RunTogether(kThreads, [&](int thread) {
      // The first one has fewer operations, and ends it for the others.
      StressWorker(mm, thread, round_seed).Work(thread == 0 ? 100 : 2000);
      if (thread == 0) mm.Exit();
      mm.DropUser();
    });
    EXPECT_FALSE(mm.AddUser());
    mm.Validate();
    mm.DropUser();
    if (world_.machine().frames().free_frames() < 4096) Rcu::Barrier();
  }
  world_.End();
}

TEST_P(MmStressTest, TeardownIsByTheLastOfThoseThatLeaveTogether) {
  const int rounds = StressRounds(200);
  for (int round = 0; round < rounds; ++round) {
    Mm& mm = **world_.machine().CreateMm();
    for (int i = 1; i < kThreads; ++i) ASSERT_TRUE(mm.AddUser());
    RunTogether(kThreads, [&](int thread) {
      const ModelPlace place = OwnPlace(thread);
      EXPECT_TRUE(
          mm.Mmap({.addr = place.base, .length = Pages(2), .prot = kRw, .flags = kAnonFixed}).ok());
      EXPECT_TRUE(mm.Write(place.base, 1).ok());
      mm.DropUser();
    });
    if (world_.machine().frames().free_frames() < 4096) Rcu::Barrier();
  }
  world_.End();
}

INSTANTIATE_TEST_SUITE_P(Contents, MmStressTest,
                         testing::Values(PageContents::kBytes, PageContents::kTag),
                         [](const auto& contents) {
                           return contents.param == PageContents::kTag ? "Tag" : "Bytes";
                         });

}  // namespace
}  // namespace faultline
