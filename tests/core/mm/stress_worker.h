// SPDX-License-Identifier: Apache-2.0
//
// One thread of a stress test of an mm. It has pages of its own, whose every operation is compared
// with the naive model: nothing that other threads do may show there, nor be lost. It also works on
// a common area, where only validity counts, and forks: a child shows the forker's own pages as the
// model has them.
//
// A task that is killed, since its mm exits, stops; what it did last is not compared.
#pragma once

#include <random>

#include "tests/core/mm/model_driver.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

inline constexpr uint64_t kOwnPages = 40;

/// Own areas touch each other, so that VMAs of neighbours merge, and share page tables. Each has
/// room for what mremap puts behind it.
[[nodiscard]] inline ModelPlace OwnPlace(int thread) {
  return {.base = At(2 * static_cast<int64_t>(kOwnPages) * thread), .pages = kOwnPages};
}
inline constexpr ModelPlace kCommon{.base = At(-200), .pages = 60};

class StressWorker {
 public:
  StressWorker(Mm& mm, int thread, uint64_t seed)
      : mm_(mm), place_(OwnPlace(thread)), random_(seed + static_cast<uint64_t>(thread)) {}

  /// Until `operations` are done, or the mm exits.
  void Work(int operations) {
    Begin();
    for (int i = 0; i < operations && !killed_; ++i) Step();
    End();
  }

  /// The same in parts: between Begin and End any number of steps, as long as there is no kill.
  void Begin() { mm_.AttachTask(CurrentTask()); }
  void Step() {
    if (Draw(4) == 0) {
      WorkOnCommon();
    } else {
      WorkOnOwn();
    }
  }
  void End() {
    if (!killed_) CheckOwn(mm_, model_);
    mm_.DetachTask(CurrentTask());
    CurrentTask().ClearKill();
  }
  /// The mm exits, or a difference was found.
  [[nodiscard]] bool killed() const { return killed_; }
  uint64_t Draw(uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }

 private:
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
    const NaiveOutcome seen = ApplyTo(mm_, place_, op, word_, /*file=*/nullptr);
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

}  // namespace faultline
