// SPDX-License-Identifier: Apache-2.0
//
// Watermarks under the explorer: an allocation that may sleep is reported where it must not, which
// of the ways around that are none, and two tasks at the mark beside one that frees, under every
// schedule within the bound, with the allocator's locks dissolved.

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "core/folio/alloc_scope.h"
#include "core/folio/frame_allocator.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

constexpr ExecutionOptions kInside{.detail = LockDetail::kAll};

/// 16 frames with min 4 and low 5, of which `left` are free; two CPUs.
struct Marked {
  Marked(Execution& run, uint64_t left) : cpus(2) {
    frames =
        std::move(*FrameAllocator::Create({.frames = 16, .min_free_frames = 4}, run.heap(), cpus));
    const AllocScope scope(AllocScope::kMemalloc);
    while (frames->free_frames() > left) {
      taken.push_back(*frames->Allocate(FrameUse::kAnon, Gfp()));
    }
    frames->DrainLocal();
  }
  void Take(int i, Gfp gfp) {
    const Result<Folio*> folio = frames->Allocate(FrameUse::kAnon, gfp);
    if (folio.ok()) got[i] = *folio;
  }
  void FreeOne() {
    frames->Put(*taken.back());
    taken.pop_back();
    frames->DrainLocal();
  }
  [[nodiscard]] int Got() const {
    return (got[0] != nullptr ? 1 : 0) + (got[1] != nullptr ? 1 : 0);
  }
  /// Every frame is where it should be.
  void End() {
    MM_CHECK_EQ(frames->free_frames() + taken.size() + static_cast<uint64_t>(Got()), 15u);
    for (Folio* folio : got) {
      if (folio != nullptr) frames->Put(*folio);
    }
    for (Folio* folio : taken) frames->Put(*folio);
    frames->Validate();
    this->~Marked();
  }

  CpuSet cpus;
  FrameAllocator::Ptr frames;
  std::vector<Folio*> taken;
  Folio* got[2] = {};
};

/// An allocation of `gfp` inside an RCU section.
Execution::Body AllocatesInSection(Gfp gfp, uint32_t limits) {
  return [=](Execution& run) {
    auto* machine = run.New<Marked>(run, 8);
    run.Spawn("reader", [=] {
      const AllocScope scope(limits);
      const RcuGuard guard;
      machine->Take(0, gfp);
    });
    run.AtEnd([=] {
      MM_CHECK_EQ(machine->Got(), 1);
      machine->End();
    });
  };
}

TEST(WatermarksExploredTest, ASleepingAllocationInAnRcuSectionIsReported) {
  ExpectViolation(ViolationKind::kSleepInAtomic,
                  "frame allocation may sleep inside an RCU read section",
                  AllocatesInSection(Gfp::kKernel, 0));
}

TEST(WatermarksExploredTest, ASleepingAllocationUnderASpinlockIsReported) {
  ExpectViolation(ViolationKind::kSleepInAtomic, "under spinlock test_inner", [](Execution& run) {
    auto* machine = run.New<Marked>(run, 8);
    auto* lock = run.New<InnerLock>();
    run.Spawn("task", [=] {
      const LockGuard guard(*lock);
      machine->Take(0, Gfp::kKernel);
    });
  });
}

TEST(WatermarksExploredTest, WhatDoesNotSleepMayBeDoneInAnRcuSection) {
  ExpectClean(AllocatesInSection(Gfp::kNowait, 0));
  ExpectClean(AllocatesInSection(Gfp::kKernel, AllocScope::kNowait));
  ExpectClean(AllocatesInSection(Gfp::kKernel | Gfp::kNowaitInRcu, 0));
}

TEST(WatermarksExploredTest, OutsideOfSectionsTheRcuFlagChangesNothing) {
  ExpectViolation(ViolationKind::kSleepInAtomic, "under spinlock test_inner", [](Execution& run) {
    auto* machine = run.New<Marked>(run, 8);
    auto* lock = run.New<InnerLock>();
    run.Spawn("task", [=] {
      const LockGuard guard(*lock);
      machine->Take(0, Gfp::kKernel | Gfp::kNowaitInRcu);
    });
  });
}

TEST(WatermarksExploredTest, AnAllocationAboveTheMarksIsOneStep) {
  const SearchResult result = SearchAll([](Execution& run) {
    auto* machine = run.New<Marked>(run, 10);
    for (int i = 0; i < 2; ++i) {
      run.Spawn(i == 0 ? "first" : "second", [=] { machine->Take(i, Gfp::kKernel); });
    }
    run.AtEnd([=] { machine->End(); });
  });
  EXPECT_FALSE(result.finding.has_value());
  EXPECT_EQ(result.longest, 2u);
}

TEST(WatermarksExploredTest, TwoNowaitTasksAtTheMarkBesideOneThatFrees) {
  // One frame above min: somebody gets it. The second may, with the frame freed or because it
  // looked before the first one took; nothing is lost or had twice.
  for (const ExecutionOptions& options : {kWholeLocks, kInside}) {
    ExpectClean(
        [](Execution& run) {
          auto* machine = run.New<Marked>(run, 5);
          for (int i = 0; i < 2; ++i) {
            run.Spawn(i == 0 ? "first" : "second", [=] { machine->Take(i, Gfp::kNowait); });
          }
          run.Spawn("frees", [=] { machine->FreeOne(); });
          run.AtEnd([=] {
            MM_CHECK_GE(machine->Got(), 1);
            machine->End();
          });
        },
        options);
  }
}

}  // namespace
}  // namespace faultline
