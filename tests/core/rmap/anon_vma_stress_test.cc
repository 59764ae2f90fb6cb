// SPDX-License-Identifier: Apache-2.0
//
// Stress of anon_vmas with real threads: the processes of one fork tree fork, split, fault and exit
// at the same time, and so take and free the root's lock together. ThreadSanitizer and the counts
// in the end say whether lists and memory are right. Every run uses a new seed and prints it.

#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/rmap/anon_vmas.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

TEST(AnonVmaStressTest, ATreeIsForkedAndUnlinkedFromManySides) {
  constexpr int kThreads = 4;
  const int rounds = StressRounds(300);
  const uint64_t seed = StressSeed();
  TestAnonVmas anon_vmas;
  for (int round = 0; round < rounds; ++round) {
    // Each thread gets a child of one parent, which then is gone.
    Vma parent;
    std::vector<Vma> children(kThreads);
    ASSERT_TRUE(anon_vmas.Prepare(parent).ok());
    for (Vma& child : children) ASSERT_TRUE(anon_vmas->Fork(child, parent).ok());
    anon_vmas->Unlink(parent);
    RunTogether(kThreads, [&](int thread) {
      std::mt19937_64 random(seed + static_cast<uint64_t>(round * kThreads + thread));
      std::vector<std::unique_ptr<Vma>> vmas;
      Vma& first = children[static_cast<size_t>(thread)];
      for (int step = 0; step < 20; ++step) {
        const size_t which = random() % (vmas.size() + 1);
        Vma& from = which == vmas.size() ? first : *vmas[which];
        if (random() % 3 == 0 && which != vmas.size()) {
          anon_vmas->Unlink(from);
          vmas.erase(vmas.begin() + static_cast<ptrdiff_t>(which));
        } else {
          Vma& fresh = *vmas.emplace_back(std::make_unique<Vma>());
          MM_CHECK((random() % 2 == 0 ? anon_vmas.Split(fresh, from) : anon_vmas->Fork(fresh, from))
                       .ok());
        }
        AnonVmas::Validate(first);
      }
      for (const auto& vma : vmas) anon_vmas->Unlink(*vma);
      anon_vmas->Unlink(first);
    });
  }
}

TEST(AnonVmaStressTest, OfTwoFaultsOneAnonVmaStays) {
  const int rounds = StressRounds(1'000);
  TestAnonVmas anon_vmas;
  for (int round = 0; round < rounds; ++round) {
    Vma vma;
    RunTogether(2, [&](int) { MM_CHECK(anon_vmas.Prepare(vma).ok()); });
    AnonVmas::Validate(vma);
    EXPECT_EQ(vma.anon_vma()->num_active_vmas(), 1u);
    anon_vmas->Unlink(vma);
  }
}

}  // namespace
}  // namespace faultline
