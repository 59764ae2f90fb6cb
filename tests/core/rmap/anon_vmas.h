// SPDX-License-Identifier: Apache-2.0
//
// anon_vmas for tests: a heap that can be made to fail, and what is left in the end is a failure.

#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "core/rmap/anon_vma.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class TestAnonVmas {
 public:
  TestAnonVmas() : arena_(std::move(*Arena::Create(size_t{64} << 20))), heap_(arena_) {
    heap_.SetFailPoints(&fail_points_);
  }
  /// Every VMA is unlinked.
  ~TestAnonVmas() {
    Rcu::Barrier();
    EXPECT_EQ(anon_vmas_.count(), 0u);
  }
  TestAnonVmas(const TestAnonVmas&) = delete;
  TestAnonVmas& operator=(const TestAnonVmas&) = delete;

  [[nodiscard]] AnonVmas* operator->() { return &anon_vmas_; }
  [[nodiscard]] FailPoints& fail_points() { return fail_points_; }
  [[nodiscard]] SpinLock<LockRank::kPageTable>& page_table_lock() { return page_table_lock_; }

  [[nodiscard]] Result<void> Prepare(Vma& vma, AnonVma* reusable = nullptr) {
    return anon_vmas_.Prepare(vma, reusable, page_table_lock_);
  }
  /// What a split does with the new part.
  [[nodiscard]] Result<void> Split(Vma& part, Vma& from) {
    part.SetAnonVma(from.anon_vma());
    return anon_vmas_.Clone(part, from);
  }

 private:
  Arena arena_;
  Heap heap_;
  FailPoints fail_points_;
  SpinLock<LockRank::kPageTable> page_table_lock_;
  AnonVmas anon_vmas_{heap_};
};

/// The anon_vmas that a VMA is chained to, in the order of its chains.
[[nodiscard]] inline std::vector<AnonVma*> ChainsOf(Vma& vma) {
  std::vector<AnonVma*> chains;
  for (const AnonVmaChain& chain : vma.anon_vma_chains()) chains.push_back(chain.anon_vma);
  return chains;
}

}  // namespace faultline
