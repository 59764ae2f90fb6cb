// SPDX-License-Identifier: Apache-2.0
//
// Threads on one mm. Each has pages of its own, whose every operation is compared with the naive
// model: nothing that the others do may show there, nor be lost. All work on a common area, too,
// where only validity counts, and fork: a child shows the forker's own pages as the model has them.
// At the end of some rounds one thread makes the mm exit while the others are at work.
//
// Bounded by counts. The seed is printed.

#include <array>
#include <atomic>
#include <random>

#include "tests/core/mm/model_driver.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

constexpr int kThreads = 4;
constexpr uint64_t kOwnPages = 40;

/// Own areas touch each other, so that VMAs of neighbours merge, and share page tables. Each has
/// room for what mremap puts behind it.
ModelPlace OwnPlace(int thread) {
  return {.base = At(2 * static_cast<int64_t>(kOwnPages) * thread), .pages = kOwnPages};
}
constexpr ModelPlace kCommon{.base = At(-200), .pages = 60};

class Worker {
 public:
  Worker(Mm& mm, int thread, uint64_t seed)
      : mm_(mm), place_(OwnPlace(thread)), random_(seed + static_cast<uint64_t>(thread)) {}

  /// Until `operations` are done, or the mm exits.
  void Work(int operations) {
    mm_.AttachTask(CurrentTask());
    for (int i = 0; i < operations && !killed_; ++i) {
      if (Draw(4) == 0) {
        WorkOnCommon();
      } else {
        WorkOnOwn();
      }
    }
    if (!killed_) CheckOwn(mm_, model_);
    mm_.DetachTask(CurrentTask());
    CurrentTask().ClearKill();
  }

 private:
  uint64_t Draw(uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  NaiveOp DrawOp(uint64_t pages) {
    return RandomOp([this](uint64_t bound) { return Draw(bound); }, pages, /*with_seals=*/false);
  }

  void WorkOnOwn() {
    NaiveOp op = DrawOp(kOwnPages);
    // No file: its contents would be everybody's.
    if (op.source >= NaiveOp::Source::kFile) op.source = NaiveOp::Source::kAnon;
    if (op.kind == NaiveOp::Kind::kFork) return Fork();
    if (op.kind == NaiveOp::Kind::kExit || !model_.Determined(op)) return;
    ++word_;
    const NaiveOutcome seen = ApplyTo(mm_, place_, op, word_, nullptr);
    if (CurrentTask().killed()) {
      killed_ = true;
      return;
    }
    const NaiveOutcome expected = model_.Apply(op, word_);
    if (seen != expected) {
      ADD_FAILURE() << Describe(op) << ": " << Describe(seen) << ", expected "
                    << Describe(expected);
      killed_ = true;  // the rest would only follow from it
    }
  }
  void WorkOnCommon() {
    NaiveOp op = DrawOp(kCommon.pages);
    if (op.source >= NaiveOp::Source::kFile) op.source = NaiveOp::Source::kAnon;
    (void)ApplyTo(mm_, kCommon, op, Draw(1000), nullptr);
    killed_ = CurrentTask().killed();
  }
  /// Forks are few: each copies what all have.
  void Fork() {
    if (Draw(4) != 0) return;
    const Result<Mm*> child = mm_.Fork();
    if (!child.ok()) {
      EXPECT_TRUE(CurrentTask().killed()) << Why(child);
      killed_ = true;
      return;
    }
    if (!CurrentTask().killed()) {
      NaiveProcess model = model_.Fork();
      CheckOwn(**child, model);
    }
    (*child)->DropUser();
  }
  void CheckOwn(Mm& mm, NaiveProcess& model) {
    // A kill meanwhile makes reads fail.
    const std::string maps = CompareMaps(mm, place_, model);
    const std::string contents = CompareContents(mm, place_, model);
    if (CurrentTask().killed()) return;
    EXPECT_EQ(maps, "");
    EXPECT_EQ(contents, "");
  }

  Mm& mm_;
  const ModelPlace place_;
  NaiveProcess model_{nullptr};
  std::mt19937_64 random_;
  uint64_t word_ = 0;
  bool killed_ = false;
};

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
  RunTogether(kThreads, [&](int thread) { Worker(mm, thread, seed).Work(StressRounds(20'000)); });
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
      Worker(mm, thread, round_seed).Work(thread == 0 ? 100 : 2000);
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
