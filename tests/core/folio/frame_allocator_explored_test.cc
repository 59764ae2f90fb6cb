// SPDX-License-Identifier: Apache-2.0
//
// The frame allocator under every schedule within the bound, its locks dissolved: the last frames
// are shared out rightly, a frame on another CPU's list is found; and what the modelled build
// reports about memory of freed tables.

#include <gtest/gtest.h>

#include "core/folio/frame_allocator.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

constexpr ExecutionOptions kInside{.detail = LockDetail::kAll};

/// A machine with 16 frames of which `left` are free.
struct Machine {
  Machine(Execution& run, uint32_t cpu_count, size_t left, PageContents contents)
      : cpus(cpu_count) {
    frames =
        std::move(*FrameAllocator::Create({.frames = 16, .contents = contents}, run.heap(), cpus));
    while (frames->free_frames() > left) taken.push_back(Take(FrameUse::kAnon));
  }
  [[nodiscard]] Folio* Take(FrameUse use) const {
    const Result<Folio*> folio = frames->Allocate(use, Gfp::kNowait);
    return folio.ok() ? *folio : nullptr;
  }
  void End() {
    for (Folio* folio : taken) frames->Put(*folio);
    frames->Validate();
    this->~Machine();
  }

  CpuSet cpus;
  FrameAllocator::Ptr frames;
  std::vector<Folio*> taken;
  Folio* got[2] = {};
};

Machine* NewMachine(Execution& run, size_t left, PageContents contents = PageContents::kTag) {
  return run.New<Machine>(run, 2, left, contents);
}

TEST(FrameAllocatorExploredTest, TwoTasksShareTheLastTwoFrames) {
  ExpectClean(
      [](Execution& run) {
        Machine* machine = NewMachine(run, 2);
        for (int i = 0; i < 2; ++i) {
          run.Spawn(i == 0 ? "first" : "second", [=] {
            machine->got[i] = machine->Take(FrameUse::kAnon);
            MM_CHECK(machine->got[i] != nullptr);
          });
        }
        run.AtEnd([=] {
          MM_CHECK(machine->got[0] != machine->got[1]);
          MM_CHECK(machine->Take(FrameUse::kAnon) == nullptr);
          for (Folio* folio : machine->got) machine->frames->Put(*folio);
          machine->End();
        });
      },
      kInside);
}

TEST(FrameAllocatorExploredTest, OneOfTwoTasksGetsTheLastFrame) {
  ExpectClean(
      [](Execution& run) {
        Machine* machine = NewMachine(run, 1);
        for (int i = 0; i < 2; ++i) {
          run.Spawn(i == 0 ? "first" : "second",
                    [=] { machine->got[i] = machine->Take(FrameUse::kAnon); });
        }
        run.AtEnd([=] {
          MM_CHECK((machine->got[0] == nullptr) != (machine->got[1] == nullptr));
          for (Folio* folio : machine->got) {
            if (folio != nullptr) machine->frames->Put(*folio);
          }
          machine->End();
        });
      },
      kInside);
}

TEST(FrameAllocatorExploredTest, AFrameThatOneTaskGivesAndTakesIsNotRefusedToAnother) {
  // Two frames for two tasks that have one at a time each: nobody may hear ENOMEM.
  ExpectClean(
      [](Execution& run) {
        Machine* machine = NewMachine(run, 2);
        for (int i = 0; i < 2; ++i) {
          run.Spawn(i == 0 ? "first" : "second", [=] {
            for (int round = 0; round < 2; ++round) {
              Folio* folio = machine->Take(FrameUse::kAnon);
              MM_CHECK(folio != nullptr);
              machine->frames->Put(*folio);
            }
          });
        }
        run.AtEnd([=] { machine->End(); });
      },
      kInside);
}

TEST(FrameAllocatorExploredTest, AFrameOnAnotherCpusListIsFound) {
  ExpectClean(
      [](Execution& run) {
        Machine* machine = NewMachine(run, 0);
        auto* freed = run.New<Atomic<int>>(0);
        run.Spawn("gives", [=] {
          machine->frames->Put(*machine->taken.back());
          machine->taken.pop_back();
          freed->Store(1, kRelease);
        });
        run.Spawn("takes", [=] {
          SpinUntil([=] { return freed->Load(kAcquire) != 0; });
          machine->got[0] = machine->Take(FrameUse::kAnon);
          MM_CHECK(machine->got[0] != nullptr);
        });
        run.AtEnd([=] {
          machine->frames->Put(*machine->got[0]);
          machine->End();
        });
      },
      kInside);
}

TEST(FrameAllocatorExploredTest, AnAllocationIsOneStep) {
  const SearchResult result = SearchAll([](Execution& run) {
    Machine* machine = NewMachine(run, 4);
    for (int i = 0; i < 2; ++i) {
      run.Spawn(i == 0 ? "first" : "second",
                [=] { machine->got[i] = machine->Take(FrameUse::kAnon); });
    }
    run.AtEnd([=] {
      for (Folio* folio : machine->got) machine->frames->Put(*folio);
      machine->End();
    });
  });
  EXPECT_FALSE(result.finding.has_value());
  EXPECT_EQ(result.longest, 2u);
}

TEST(FrameAllocatorExploredTest, ReportsATouchOfAFreedTable) {
  ExpectViolation(ViolationKind::kUseAfterFree, "touch of freed memory", [](Execution& run) {
    Machine* machine = NewMachine(run, 8);
    run.Spawn("task", [=] {
      Folio* table = machine->Take(FrameUse::kTable);
      TableWords& words = machine->frames->Table(*table);
      machine->frames->Put(*table);
      words[3].Store(1, kRelaxed);
    });
  });
}

TEST(FrameAllocatorExploredTest, ReportsATableThatIsNeverFreed) {
  ExpectViolation(ViolationKind::kLeak, "never freed", [](Execution& run) {
    Machine* machine = NewMachine(run, 8);
    run.Spawn("task", [=] { machine->got[0] = machine->Take(FrameUse::kTable); });
  });
}

}  // namespace
}  // namespace faultline
