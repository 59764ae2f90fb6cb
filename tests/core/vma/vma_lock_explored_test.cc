// SPDX-License-Identifier: Apache-2.0
//
// Readers of a VMA beside its writer under every schedule within preemption bound 2: beside a mark,
// beside a detachment after which the slot becomes another VMA of the same mm or of another one
// that goes away itself (B15, B16, B19, B22), and two at once. For the count and for both forms of
// the rwsem.
//
// A reader that holds a VMA finds it to be of its mm, around its address, and unchanged from one
// look to the next. Leaks, late touches, lost wake-ups and stale fields end a schedule by
// themselves.

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "tests/core/sync/modelled_runs.h"
#include "tests/core/vma/vma_world.h"

namespace faultline {
namespace {

/// One kind of reader, and what its writers do.
enum class Lock : uint8_t { kCount, kSemHeld, kSemWithSequence };

WriteDuties DutiesFor(Lock lock) {
  switch (lock) {
    case Lock::kCount:
      return kDutyDrainCounts;
    case Lock::kSemHeld:
      return kDutyHoldRwsem;
    case Lock::kSemWithSequence:
      return kDutyPassRwsem;
  }
  return 0;
}

/// What the runs of one search showed of readers.
struct Seen {
  std::set<LeaveReason> reasons;
  bool missed = false;
};

struct World : RcuHead {
  World(Execution& run, Lock lock_kind)
      : lock(lock_kind), heap(run.heap()), slab(std::in_place, run.heap()) {}

  VmaTestOwner& NewOwner() {
    return VmaTestOwner::Make({.heap = heap, .slab = *slab, .duties = DutiesFor(lock)});
  }
  /// What the scheme's readers need before a slot is used again.
  void Free(Vma& vma) {
    lock == Lock::kCount ? vma.FreeNow(*slab) : vma.FreeAfterGracePeriod(*slab);
  }

  /// One reader of `mm`: looks twice while it holds.
  void Read(VmaTestOwner& mm, uint64_t page, Seen& seen) {
    uint32_t misses = 0;
    const RwsemForm form =
        lock == Lock::kSemHeld ? RwsemForm::kHeldBySection : RwsemForm::kWithSequence;
    const HeldVma held = lock == Lock::kCount
                             ? VmaRefcnt::Lock(mm.tree(), mm, PageAt(page), misses)
                             : VmaRwsem::Lock(mm.tree(), mm, PageAt(page), form, misses);
    seen.reasons.insert(held.reason);
    seen.missed = seen.missed || misses != 0;
    if (held.vma == nullptr) return;
    Vma& vma = *held.vma;
    const VirtRange range = vma.range();
    MM_CHECK(!vma.is_detached());
    MM_CHECK(vma.owner() == &mm);
    MM_CHECK(range.Contains(PageAt(page)));
    MM_CHECK(vma.range() == range);
    lock == Lock::kCount ? VmaRefcnt::Unlock(vma, mm) : VmaRwsem::Unlock(vma);
  }
  void End() {
    // Behind everything that was retired: at the end of a run callbacks come in order.
    Rcu::Retire(*this, [](RcuHead* world) { static_cast<World*>(world)->slab.reset(); });
  }

  const Lock lock;
  Heap& heap;
  std::optional<VmaSlab> slab;
};

class VmaLockExploredTest : public testing::TestWithParam<Lock> {
 protected:
  /// Explores the tasks that `setup` spawns; `check` comes at the end of each schedule.
  void Explored(const std::function<void(Execution&, World&)>& setup) {
    const SearchResult result = SearchAll([&](Execution& run) {
      auto* const world = run.New<World>(run, GetParam());
      setup(run, *world);
    });
    EXPECT_TRUE(result.complete);
    EXPECT_GT(result.schedules, 1u);
    testing::Test::RecordProperty("schedules", std::to_string(result.schedules));
    if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
  }
  [[nodiscard]] LeaveReason RefusalOfMarked() const {
    return GetParam() == Lock::kSemHeld ? LeaveReason::kContended : LeaveReason::kWriteLocked;
  }
  void ExpectSeen(const std::set<LeaveReason>& reasons) const {
    for (const LeaveReason reason : reasons) {
      EXPECT_TRUE(seen_.reasons.contains(reason)) << "no schedule led to " << Name(reason);
    }
  }

  Seen seen_;
};

TEST_P(VmaLockExploredTest, AReaderBesideAMarkIsInsideBeforeItOrKeptOut) {
  Explored([this](Execution& run, World& world) {
    VmaTestOwner& mm = world.NewOwner();
    Vma& vma = mm.MapAlone(0, 4);
    run.Spawn("reader", [this, &world, &mm] { world.Read(mm, 3, seen_); });
    run.Spawn("writer", [&mm, &vma] {
      mm.Begin();
      mm.Mark(vma);
      vma.SetRange(PageRange(0, 2), PageIndex(0));  // a shrink that is taken back
      vma.SetRange(PageRange(0, 4), PageIndex(0));
      mm.End();
    });
    run.AtEnd([&world, &mm, &vma] {
      mm.Begin();
      mm.Unmap(vma);
      mm.End();
      world.Free(vma);
      mm.Put();
      world.End();
    });
  });
  ExpectSeen({LeaveReason::kNone, RefusalOfMarked()});
}

TEST_P(VmaLockExploredTest, AReaderBesideAShrinkNeverHoldsAVmaThatHasLeftItsAddress) {
  Explored([this](Execution& run, World& world) {
    VmaTestOwner& mm = world.NewOwner();
    Vma& vma = mm.MapAlone(0, 4);
    run.Spawn("reader", [this, &world, &mm] { world.Read(mm, 3, seen_); });
    run.Spawn("writer", [&mm, &vma] {
      mm.Begin();
      mm.Mark(vma);
      vma.SetRange(PageRange(0, 2), PageIndex(0));
      mm.End();
    });
    run.AtEnd([&world, &mm, &vma] {
      mm.Begin();
      mm.Unmap(vma);
      mm.End();
      world.Free(vma);
      // The tree still has the part that was cut off, which nobody looks up any more.
      mm.Put();
      world.End();
    });
  });
  ExpectSeen({LeaveReason::kNone, RefusalOfMarked(), LeaveReason::kRangeMoved});
}

TEST_P(VmaLockExploredTest, ASlotRecycledElsewhereInTheMmIsNotTakenForTheOld) {
  Explored([this](Execution& run, World& world) {
    VmaTestOwner& mm = world.NewOwner();
    Vma& vma = mm.MapAlone(0, 4);
    run.Spawn("reader", [this, &world, &mm] { world.Read(mm, 3, seen_); });
    run.Spawn("writer", [&world, &mm, &vma] {
      mm.Begin();
      mm.Unmap(vma);
      mm.End();
      world.Free(vma);
      mm.MapAlone(8, 4);
    });
    run.AtEnd([&world, &mm] {
      auto* const second = static_cast<Vma*>(mm.tree().Find(PageAt(8).value()));
      mm.Begin();
      mm.Unmap(*second);
      mm.End();
      world.Free(*second);
      mm.Put();
      world.End();
    });
  });
  ExpectSeen({LeaveReason::kNone, LeaveReason::kNoVma, RefusalOfMarked()});
  if (GetParam() == Lock::kCount) ExpectSeen({LeaveReason::kRangeMoved});
  EXPECT_TRUE(seen_.missed) << "no schedule met the VMA detached";
}

TEST_P(VmaLockExploredTest, ASlotRecycledForAnotherMmIsLeftAloneEvenIfThatMmGoes) {
  Explored([this](Execution& run, World& world) {
    VmaTestOwner& mm = world.NewOwner();
    VmaTestOwner& other = world.NewOwner();
    Vma& vma = mm.MapAlone(0, 4);
    run.Spawn("reader", [this, &world, &mm] { world.Read(mm, 3, seen_); });
    run.Spawn("writer", [&world, &mm, &other, &vma] {
      mm.Begin();
      mm.Unmap(vma);
      mm.End();
      world.Free(vma);
      // The other mm's whole life: its teardown waits for a reader's count, and its memory goes.
      Vma& recycled = other.MapAlone(0, 4);
      other.Begin();
      other.Unmap(recycled);
      other.End();
      world.Free(recycled);
      other.Put();
    });
    run.AtEnd([&world, &mm] {
      mm.Put();
      world.End();
    });
  });
  ExpectSeen({LeaveReason::kNone, LeaveReason::kNoVma, RefusalOfMarked()});
  if (GetParam() == Lock::kCount) ExpectSeen({LeaveReason::kOtherMm});
}

TEST_P(VmaLockExploredTest, TwoReadersAndAWriterThatReplacesTheVma) {
  Explored([this](Execution& run, World& world) {
    VmaTestOwner& mm = world.NewOwner();
    Vma& vma = mm.MapAlone(0, 2);
    for (const uint64_t page : {0, 1}) {
      run.Spawn("reader", [this, &world, &mm, page] { world.Read(mm, page, seen_); });
    }
    run.Spawn("writer", [&mm, &vma] {
      mm.Begin();
      mm.Mark(vma);
      vma.SetRange(PageRange(0, 1), PageIndex(0));
      vma.SetRange(PageRange(0, 2), PageIndex(0));
      mm.End();
    });
    run.AtEnd([&world, &mm, &vma] {
      mm.Begin();
      mm.Unmap(vma);
      mm.End();
      world.Free(vma);
      mm.Put();
      world.End();
    });
  });
  ExpectSeen({LeaveReason::kNone, RefusalOfMarked()});
}

std::string NameOf(Lock lock) {
  switch (lock) {
    case Lock::kCount:
      return "Count";
    case Lock::kSemHeld:
      return "SemHeld";
    case Lock::kSemWithSequence:
      return "SemWithSequence";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(Locks, VmaLockExploredTest,
                         testing::Values(Lock::kCount, Lock::kSemHeld, Lock::kSemWithSequence),
                         [](const auto& test) { return NameOf(test.param); });

}  // namespace
}  // namespace faultline
