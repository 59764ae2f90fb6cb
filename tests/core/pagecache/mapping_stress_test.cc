// SPDX-License-Identifier: Apache-2.0
//
// Stress of a Mapping with real threads that ask for the same pages: all get the same folios, and
// every frame comes back.

#include <vector>

#include <gtest/gtest.h>

#include "core/pagecache/mapping.h"
#include "tests/core/folio/frames.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

TEST(MappingStressTest, RacingFaultsGetOneFolio) {
  constexpr int kThreads = 4;
  constexpr uint64_t kPages = 64;
  const int rounds = StressRounds(200);
  TestFrames frames(4 * kPages, PageContents::kBytes, /*cpus=*/2);
  for (int round = 0; round < rounds; ++round) {
    Mapping& mapping = **Mapping::Create({.bytes = kPages * kPageSize}, *frames, frames.heap());
    std::vector<std::vector<Folio*>> got(kThreads);
    RunTogether(kThreads, [&](int thread) {
      mapping.Get();
      for (uint64_t i = 0; i < kPages; ++i) {
        const Result<Folio*> folio = mapping.FindOrCreate(PageIndex(i), Gfp::kKernel);
        MM_CHECK(folio.ok());
        // Racing simulated stores: what is there is the index or still zero.
        const uint64_t word = frames->LoadWord(**folio, 0);
        MM_CHECK(word == 0 || word == i);
        frames->StoreWord(**folio, 0, i);
        got[static_cast<size_t>(thread)].push_back(*folio);
        frames->Put(**folio);
      }
      mapping.Put();
    });
    for (const auto& folios : got) EXPECT_EQ(folios, got[0]);
    EXPECT_EQ(mapping.resident_pages(), kPages);
    mapping.Put();
    EXPECT_EQ(frames->free_frames(), frames->total_frames());
  }
  Rcu::Barrier();
}

}  // namespace
}  // namespace faultline
