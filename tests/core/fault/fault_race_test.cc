// SPDX-License-Identifier: Apache-2.0
//
// Faults of real threads on one page, one missing table, one missing upper table, neighbouring
// VMAs; and programs that store through the MMU while their memory is forked again and again. What
// the explorer shows for every order of a few steps, ThreadSanitizer shows here for memory orders.

#include <atomic>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "tests/core/fault/fault_fixture.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

constexpr VirtAddr kBase{0x7f00'0000'0000};
constexpr VirtAddr Page(uint64_t page) { return kBase + page * kPageSize; }
constexpr uint64_t kRounds = kTsan || kAsan ? 100 : 400;
constexpr int kThreads = 4;

class FaultRaceTest : public testing::Test {
 protected:
  Arena arena_ = std::move(*Arena::Create(256u << 20));
  Heap heap_{arena_};
  FaultMachine machine_{heap_,
                        {.frames = 4096, .cpus = kThreads, .contents = PageContents::kBytes}};

  /// In each round a new mm, and `body(mm, thread)` in all threads at once, then `check(mm)`.
  template <class Body, class Check>
  void Race(const Body& body, const Check& check) {
    for (uint64_t round = 0; round < kRounds; ++round) {
      FaultMm mm(machine_);
      mm.Map(Page(0), 2048, kPrivateReadWrite);
      mm.Map(Page(2048), 2048, kPrivateReadWrite);
      RunTogether(kThreads, [&](int thread) { body(mm, static_cast<uint64_t>(thread)); });
      check(mm);
      mm.tables().Validate();
    }
  }
};

TEST_F(FaultRaceTest, OnePageIsMappedOnce) {
  Race([](FaultMm& mm, uint64_t) { EXPECT_EQ(mm.Fault(kBase, AccessKind::kWrite), 0u); },
       [](FaultMm& mm) {
         EXPECT_EQ(mm.Count(MmCounter::kAnonPages), 1);
         EXPECT_EQ(mm.FolioAt(kBase).refcount(), 1u);
         EXPECT_EQ(mm.FolioAt(kBase).mapcount(), 1);
       });
}

TEST_F(FaultRaceTest, OnePteTableIsMadeForPagesBesideEachOther) {
  Race([](FaultMm& mm,
          uint64_t thread) { EXPECT_EQ(mm.Fault(Page(thread), AccessKind::kWrite), 0u); },
       [](FaultMm& mm) {
         EXPECT_EQ(mm.Count(MmCounter::kAnonPages), kThreads);
         EXPECT_EQ(mm.Count(MmCounter::kTables), 4);
       });
}

TEST_F(FaultRaceTest, UpperTablesAreSharedByPagesFarApart) {
  Race([](FaultMm& mm,
          uint64_t thread) { EXPECT_EQ(mm.Fault(Page(512 * thread), AccessKind::kRead), 0u); },
       [](FaultMm& mm) { EXPECT_EQ(mm.Count(MmCounter::kTables), 3 + kThreads); });
}

TEST_F(FaultRaceTest, NeighboursPrepareAnonVmasAtOnce) {
  Race([](FaultMm& mm,
          uint64_t thread) { EXPECT_EQ(mm.Fault(Page(2046 + thread), AccessKind::kWrite), 0u); },
       [](FaultMm& mm) {
         AnonVmas::Validate(mm.vma(0));
         AnonVmas::Validate(mm.vma(1));
       });
}

/// One mm that programs store to and somebody forks. Each thread has a word of its own in each
/// page.
class ForkStorm {
 public:
  explicit ForkStorm(FaultMachine& machine) : machine_(machine), mm_(machine) {
    mm_.Map(kBase, kPages, kPrivateReadWrite);
  }

  /// Stores and finds again what it stored, until the forks are over.
  void RunProgram(uint64_t thread) {
    for (uint64_t i = 1; !stop_.load(std::memory_order_relaxed); ++i) {
      Store(WordOf(i % kPages, thread), i);
      ASSERT_EQ(Load(WordOf(i % kPages, thread)), i);
      if (i == 1) continue;
      ASSERT_EQ(Load(WordOf((i - 1) % kPages, thread)), i - 1);
    }
  }
  /// Forks, and looks twice whether a child's memory stays as it was.
  void RunForks() {
    for (uint64_t round = 0; round < 4 * kRounds; ++round) {
      FaultMm child(machine_);
      {
        const WriteGuard guard(mmap_lock_);
        child.ForkFrom(mm_);
      }
      const std::vector<uint64_t> seen = WordsOf(child);
      child.Store(WordOf(round % kPages, kThreads), 1);
      ASSERT_EQ(WordsOf(child), seen);
      const WriteGuard guard(mmap_lock_);
      child.Clear();
    }
    stop_.store(true, std::memory_order_relaxed);
  }

 private:
  static constexpr uint64_t kPages = 4;

  static VirtAddr WordOf(uint64_t page, uint64_t thread) { return Page(page) + 8 * thread; }

  static std::vector<uint64_t> WordsOf(FaultMm& child) {
    std::vector<uint64_t> words;
    words.reserve(kPages * kThreads);
    for (uint64_t i = 0; i < kPages * kThreads; ++i) {
      words.push_back(child.Load(WordOf(i / kThreads, i % kThreads)));
    }
    return words;
  }
  void Store(VirtAddr addr, uint64_t word) {
    while (!MmuStore(mm_.target(), addr, word)) {
      const ReadGuard guard(mmap_lock_);
      MM_CHECK_EQ(mm_.Fault(addr, AccessKind::kWrite), 0u);
    }
  }
  uint64_t Load(VirtAddr addr) {
    uint64_t word = 0;
    while (!MmuLoad(mm_.target(), addr, word)) {
      const ReadGuard guard(mmap_lock_);
      MM_CHECK_EQ(mm_.Fault(addr, AccessKind::kRead), 0u);
    }
    return word;
  }

  FaultMachine& machine_;
  FaultMm mm_;
  RwSem<LockRank::kMmapLock> mmap_lock_;
  std::atomic<bool> stop_{false};
};

TEST_F(FaultRaceTest, StoresSurviveForksAndForksDoNotChange) {
  ForkStorm storm(machine_);
  RunTogether(kThreads, [&](int thread) {
    if (thread == 0) {
      storm.RunForks();
    } else {
      storm.RunProgram(static_cast<uint64_t>(thread));
    }
  });
}

}  // namespace
}  // namespace faultline
