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
  void Read(VmaTestOwner& mm, uint64_t page, Seen& seen) const {
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

// -- What runs beside each other ------------------------------------------------------------------

/// Makes the tasks of a run and its end. `seen` gathers what the readers of all runs saw.
using Tasks = void (*)(Execution& run, World& world, Seen& seen);

/// The end of a run in which a VMA is left.
void EndWith(Execution& run, World& world, VmaTestOwner& mm, uint64_t page) {
  run.AtEnd([&world, &mm, page] {
    auto& vma = *static_cast<Vma*>(mm.tree().Find(PageAt(page).value()));
    mm.Begin();
    mm.Unmap(vma);
    mm.End();
    world.Free(vma);
    mm.Put();
    world.End();
  });
}

/// A shrink that is taken back before the section ends.
void BesideAMark(Execution& run, World& world, Seen& seen) {
  VmaTestOwner& mm = world.NewOwner();
  Vma& vma = mm.MapAlone(0, 4);
  run.Spawn("reader", [&world, &mm, &seen] { world.Read(mm, 3, seen); });
  run.Spawn("writer", [&mm, &vma] {
    mm.Begin();
    mm.Mark(vma);
    vma.SetRange(PageRange(0, 2), PageIndex(0));
    vma.SetRange(PageRange(0, 4), PageIndex(0));
    mm.End();
  });
  EndWith(run, world, mm, 0);
}

/// The tree keeps the part that is cut off, as a reader sees it who looked it up before.
void BesideAShrink(Execution& run, World& world, Seen& seen) {
  VmaTestOwner& mm = world.NewOwner();
  Vma& vma = mm.MapAlone(0, 4);
  run.Spawn("reader", [&world, &mm, &seen] { world.Read(mm, 3, seen); });
  run.Spawn("writer", [&mm, &vma] {
    mm.Begin();
    mm.Mark(vma);
    vma.SetRange(PageRange(0, 2), PageIndex(0));
    mm.End();
  });
  EndWith(run, world, mm, 0);
}

void RecycledInTheMm(Execution& run, World& world, Seen& seen) {
  VmaTestOwner& mm = world.NewOwner();
  Vma& vma = mm.MapAlone(0, 4);
  run.Spawn("reader", [&world, &mm, &seen] { world.Read(mm, 3, seen); });
  run.Spawn("writer", [&world, &mm, &vma] {
    mm.Begin();
    mm.Unmap(vma);
    mm.End();
    world.Free(vma);
    mm.MapAlone(8, 4);
  });
  EndWith(run, world, mm, 8);
}

/// The other mm's whole life: its teardown waits for a reader's count, and its memory goes.
void RecycledInAnotherMm(Execution& run, World& world, Seen& seen) {
  VmaTestOwner& mm = world.NewOwner();
  VmaTestOwner& other = world.NewOwner();
  Vma& vma = mm.MapAlone(0, 4);
  run.Spawn("reader", [&world, &mm, &seen] { world.Read(mm, 3, seen); });
  run.Spawn("writer", [&world, &mm, &other, &vma] {
    mm.Begin();
    mm.Unmap(vma);
    mm.End();
    world.Free(vma);
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
}

/// The same from the moment on when the slot is the other mm's: what a reader does who found it
/// before, and the end of that mm.
void TheOtherMmGoes(Execution& run, World& world, Seen& seen) {
  VmaTestOwner& mm = world.NewOwner();
  VmaTestOwner& other = world.NewOwner();
  Vma& recycled = other.MapAlone(0, 4);
  run.Spawn("reader", [&mm, &recycled, &seen] {
    const RcuGuard section;
    StableRef<Vma> ref(&recycled);
    const LeaveReason reason = VmaRefcnt::TryLock(ref, mm);
    MM_CHECK(reason != LeaveReason::kNone);
    seen.reasons.insert(reason);
  });
  run.Spawn("writer", [&world, &other, &recycled] {
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
}

void TwoReadersBesideAMark(Execution& run, World& world, Seen& seen) {
  VmaTestOwner& mm = world.NewOwner();
  Vma& vma = mm.MapAlone(0, 2);
  for (const uint64_t page : {0, 1}) {
    run.Spawn("reader", [&world, &mm, page, &seen] { world.Read(mm, page, seen); });
  }
  run.Spawn("writer", [&mm, &vma] {
    mm.Begin();
    mm.Mark(vma);
    vma.SetRange(PageRange(0, 1), PageIndex(0));
    vma.SetRange(PageRange(0, 2), PageIndex(0));
    mm.End();
  });
  EndWith(run, world, mm, 0);
}

SearchResult Search(Lock lock, Tasks tasks, Seen& seen, Mutant mutant = Mutant::kNone,
                    uint32_t bound = 2) {
  SearchSubject subject = SubjectFor([&](Execution& run) {
    auto* const world = run.New<World>(run, lock);
    tasks(run, *world, seen);
  });
  subject.mutant = mutant;
  SearchOptions options;
  options.bound = bound;
  return Explore(subject, options);
}

// -- The right code -------------------------------------------------------------------------------

class VmaLockExploredTest : public testing::TestWithParam<Lock> {
 protected:
  void Explored(Tasks tasks) {
    const SearchResult result = Search(GetParam(), tasks, seen_);
    EXPECT_TRUE(result.complete);
    EXPECT_GT(result.schedules, 1u);
    testing::Test::RecordProperty("schedules", std::to_string(result.schedules));
    if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
  }
  [[nodiscard]] static LeaveReason RefusalOfMarked() {
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
  Explored(BesideAMark);
  ExpectSeen({LeaveReason::kNone, RefusalOfMarked()});
}

TEST_P(VmaLockExploredTest, AReaderBesideAShrinkNeverHoldsAVmaThatHasLeftItsAddress) {
  Explored(BesideAShrink);
  ExpectSeen({LeaveReason::kNone, RefusalOfMarked(), LeaveReason::kRangeMoved});
}

TEST_P(VmaLockExploredTest, ASlotRecycledElsewhereInTheMmIsNotTakenForTheOld) {
  Explored(RecycledInTheMm);
  ExpectSeen({LeaveReason::kNone, LeaveReason::kNoVma, RefusalOfMarked()});
  if (GetParam() == Lock::kCount) ExpectSeen({LeaveReason::kRangeMoved});
  EXPECT_TRUE(seen_.missed) << "no schedule met the VMA detached";
}

TEST_P(VmaLockExploredTest, ASlotRecycledForAnotherMmIsLeftAloneEvenIfThatMmGoes) {
  Explored(RecycledInAnotherMm);
  ExpectSeen({LeaveReason::kNone, LeaveReason::kNoVma, RefusalOfMarked()});
  if (GetParam() == Lock::kCount) ExpectSeen({LeaveReason::kOtherMm});
}

TEST_P(VmaLockExploredTest, TwoReadersBesideAMarkAreEachInsideBeforeItOrKeptOut) {
  Explored(TwoReadersBesideAMark);
  ExpectSeen({LeaveReason::kNone, RefusalOfMarked()});
}

// -- Mutants: that a search is clean means something only if it would find these ------------------

TEST(VmaLockMutantTest, ARangeLookedAtBeforeTheCountAloneIsFound) {
  Seen seen;
  EXPECT_TRUE(Search(Lock::kCount, BesideAShrink, seen, Mutant::kM5).finding.has_value());
}

TEST(VmaLockMutantTest, AWakeUpOfAnMmThatIsNotPinnedIsFound) {
  // Three preemptions: the reader counts, the other mm's writer sees the count, the reader drops
  // it, the writer sees that and ends the mm, and the reader wakes whoever waits there.
  constexpr uint32_t kBound = 3;
  Seen seen;
  EXPECT_TRUE(Search(Lock::kCount, TheOtherMmGoes, seen, Mutant::kM4, kBound).finding.has_value());
  const SearchResult right = Search(Lock::kCount, TheOtherMmGoes, seen, Mutant::kNone, kBound);
  EXPECT_TRUE(right.complete);
  if (right.finding.has_value()) ADD_FAILURE() << right.finding->table;
  EXPECT_TRUE(seen.reasons.contains(LeaveReason::kOtherMm));
}

TEST(VmaLockMutantTest, ADetachedVmaTakenForOneOfTheTreeIsFound) {
  Seen seen;
  EXPECT_TRUE(Search(Lock::kSemHeld, RecycledInTheMm, seen, Mutant::kM19).finding.has_value());
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
