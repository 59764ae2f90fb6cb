// SPDX-License-Identifier: Apache-2.0
//
// Stress of the frame allocator with more threads than CPUs and hardly enough frames: no frame is
// in two hands, ThreadSanitizer sees each hand-over as one, and nothing is lost. Every run uses a
// new seed and prints it.

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/folio/frames.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

class FrameAllocatorStressTest : public ::testing::TestWithParam<PageContents> {};
INSTANTIATE_TEST_SUITE_P(Modes, FrameAllocatorStressTest,
                         ::testing::Values(PageContents::kTag, PageContents::kBytes));

/// Allocates and frees at random; marks what it has with plain data.
class Holder {
 public:
  Holder(FrameAllocator& frames, uint64_t seed, std::vector<uint64_t>& owners)
      : frames_(frames), random_(seed), owners_(owners), self_(seed) {}

  void Step(size_t most) {
    if (held_.empty() || (held_.size() < most && random_() % 2 == 0)) {
      TakeOne();
    } else {
      PutOne(random_() % held_.size());
    }
  }
  void PutAll() {
    while (!held_.empty()) PutOne(held_.size() - 1);
  }

 private:
  void TakeOne() {
    static constexpr FrameUse kUses[] = {FrameUse::kAnon, FrameUse::kFile, FrameUse::kTable};
    const FrameUse use = kUses[random_() % 3];
    const Result<Folio*> folio = frames_.Allocate(use, Gfp::kNowait);
    if (!folio.ok()) return;
    uint64_t& owner = owners_[frames_.PfnOf(**folio).value()];
    MM_CHECK_EQ(owner, 0u);
    owner = self_;
    if (use == FrameUse::kTable) {
      TableWords& table = frames_.Table(**folio);
      Atomic<uint64_t>& entry = table[random_() % 512];
      MM_CHECK_EQ(entry.Exchange(self_, kRelaxed), 0u);
      entry.Store(0, kRelaxed);  // tables come back empty
    } else {
      frames_.Zero(**folio);
      frames_.StoreWord(**folio, 0, self_);
    }
    held_.push_back(*folio);
  }
  void PutOne(size_t which) {
    std::swap(held_[which], held_.back());
    Folio& folio = *held_.back();
    held_.pop_back();
    if (folio.use() != FrameUse::kTable) MM_CHECK_EQ(frames_.LoadWord(folio, 0), self_);
    uint64_t& owner = owners_[frames_.PfnOf(folio).value()];
    MM_CHECK_EQ(owner, self_);
    owner = 0;
    frames_.Put(folio);
  }

  FrameAllocator& frames_;
  std::mt19937_64 random_;
  std::vector<uint64_t>& owners_;
  const uint64_t self_;
  std::vector<Folio*> held_;
};

TEST_P(FrameAllocatorStressTest, NoFrameIsInTwoHands) {
  constexpr int kThreads = 6;
  constexpr uint64_t kFrames = 700;
  const int rounds = StressRounds(60'000);
  const uint64_t seed = StressSeed() | 1;
  TestFrames frames(kFrames, GetParam(), /*cpus=*/3);
  std::vector<uint64_t> owners(kFrames);
  RunTogether(kThreads, [&](int thread) {
    Holder holder(*frames, seed + static_cast<uint64_t>(thread), owners);
    for (int i = 0; i < rounds; ++i) holder.Step(/*most=*/130);
    holder.PutAll();
  });
  EXPECT_EQ(frames->free_frames(), kFrames - 1);
  frames->Validate();
}

TEST(FrameAllocatorCountStressTest, AFrameThatIsAlwaysThereIsAlwaysFound) {
  constexpr int kThreads = 4;
  constexpr uint64_t kFrames = 64;
  const int rounds = StressRounds(30'000);
  TestFrames frames(kFrames, PageContents::kTag, /*cpus=*/kThreads + 1);
  // Two frames are left for each thread, which has one at a time: nobody may be refused.
  std::vector<Folio*> all = frames.AllocateAll();
  for (int i = 0; i < 2 * kThreads; ++i) {
    frames->Put(*all.back());
    all.pop_back();
  }
  RunTogether(kThreads, [&](int) {
    for (int i = 0; i < rounds; ++i) {
      const Result<Folio*> folio = frames->Allocate(FrameUse::kAnon, Gfp::kNowait);
      MM_CHECK(folio.ok());
      frames->Put(**folio);
    }
  });
  frames.PutAll(all);
  frames->Validate();
}

}  // namespace
}  // namespace faultline
