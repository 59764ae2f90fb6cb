// SPDX-License-Identifier: Apache-2.0
//
// Faults beside faults, stores of the MMU beside copy-on-write, and a zap beside both, under every
// schedule within preemption bound 2. What the final checks do not look at is checked anyway:
// memory and frames that are left over, and touches of what was freed, end a schedule.

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tests/core/fault/fault_fixture.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

constexpr VirtAddr kBase{0x7f00'0000'0000};
constexpr VirtAddr Page(uint64_t page) { return kBase + page * kPageSize; }

/// One machine with a parent and, if it forked, a child.
struct World : RcuHead {
  explicit World(Execution& run, uint64_t fault_around_bytes = kPageSize)
      : machine(run.heap(), {.frames = 48, .cpus = 3, .contents = PageContents::kBytes}),
        mm_memory(std::in_place, machine, fault_around_bytes),
        child_memory(std::in_place, machine) {}

  void Fault(uint64_t page, AccessKind access) {
    MM_CHECK_EQ(mm.Fault(Page(page), access) & fault_bit::kErrors, 0u);
  }
  /// Checks that a page is mapped by its mm alone, and what is in it.
  static void CheckOwn(FaultMm& mm, uint64_t page, uint64_t word) {
    Folio& folio = mm.FolioAt(Page(page));
    MM_CHECK(folio.use() == FrameUse::kAnon);
    MM_CHECK_EQ(folio.refcount(), 1u);
    MM_CHECK_EQ(folio.mapcount(), 1);
    MM_CHECK(folio.owner().anon_vma.Peek() != nullptr);
    MM_CHECK_EQ(mm.Load(Page(page)), word);
  }
  void End() {
    mm.tables().Validate();
    child.tables().Validate();
    mm_memory.reset();
    child_memory.reset();
    // Behind everything that these retired: at the end of a run callbacks come in order.
    Rcu::Retire(*this, [](RcuHead* world) { static_cast<World*>(world)->~World(); });
  }

  FaultMachine machine;
  Atomic<uint32_t> done{0};  ///< one task tells another
  std::optional<FaultMm> mm_memory;
  std::optional<FaultMm> child_memory;
  FaultMm& mm = *mm_memory;
  FaultMm& child = *child_memory;
};

using Code = std::function<void(World&)>;

/// Explores `tasks` beside each other after `setup`, with `check` at the end of each schedule.
void Explored(const Code& setup, const std::vector<Code>& tasks, const Code& check,
              uint64_t fault_around_bytes = kPageSize) {
  const SearchResult result = SearchAll([&](Execution& run) {
    auto* world = run.New<World>(run, fault_around_bytes);
    setup(*world);
    for (const Code& task : tasks) run.Spawn("task", [world, task] { task(*world); });
    run.AtEnd([world, check] {
      check(*world);
      world->End();
    });
  });
  EXPECT_TRUE(result.complete);
  EXPECT_GT(result.schedules, 1u);
  testing::Test::RecordProperty("schedules", std::to_string(result.schedules));
  if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
}
void Beside(const Code& setup, const Code& first, const Code& second, const Code& check,
            uint64_t fault_around_bytes = kPageSize) {
  Explored(setup, {first, second}, check, fault_around_bytes);
}

void MapAnon(World& world) { world.mm.Map(kBase, 1024, kPrivateReadWrite); }
/// A page that parent and child share and nobody may write, with `word` in its first word.
void Share(World& world, uint64_t word) {
  world.mm.Map(kBase, 1, kPrivateReadWrite);
  world.mm.Store(kBase, word);
  world.child.ForkFrom(world.mm);
}
Code Touch(uint64_t page, AccessKind access) {
  return [=](World& world) { world.Fault(page, access); };
}

TEST(FaultExploredTest, OfTwoWritesToOnePageOneIsMapped) {
  Beside(MapAnon, Touch(0, AccessKind::kWrite), Touch(0, AccessKind::kWrite), [](World& world) {
    World::CheckOwn(world.mm, 0, 0);
    MM_CHECK_EQ(world.mm.Count(MmCounter::kAnonPages), 1);
    MM_CHECK_EQ(world.machine.anon_vmas().count(), 1u);
  });
}

TEST(FaultExploredTest, AReadBesideAWriteLeavesTheOneOrTheOther) {
  Beside(MapAnon, Touch(0, AccessKind::kRead), Touch(0, AccessKind::kWrite), [](World& world) {
    const bool zero = world.mm.EntryAt(kBase).special();
    MM_CHECK_EQ(world.mm.Count(MmCounter::kAnonPages), zero ? 0 : 1);
    world.mm.Store(kBase, 4);
    World::CheckOwn(world.mm, 0, 4);
  });
}

TEST(FaultExploredTest, TwoWritesShareAMissingPteTable) {
  Beside(
      [](World& world) {
        MapAnon(world);
        world.Fault(512, AccessKind::kRead);  // the upper tables
      },
      Touch(0, AccessKind::kWrite), Touch(1, AccessKind::kWrite),
      [](World& world) {
        World::CheckOwn(world.mm, 0, 0);
        World::CheckOwn(world.mm, 1, 0);
        MM_CHECK_EQ(world.mm.Count(MmCounter::kTables), 5);
      });
}

TEST(FaultExploredTest, TwoReadsShareMissingUpperTables) {
  Beside(MapAnon, Touch(0, AccessKind::kRead), Touch(512, AccessKind::kRead), [](World& world) {
    MM_CHECK(world.mm.EntryAt(Page(0)).special());
    MM_CHECK(world.mm.EntryAt(Page(512)).special());
    MM_CHECK_EQ(world.mm.Count(MmCounter::kTables), 5);
  });
}

TEST(FaultExploredTest, AdjacentVmasGetAnonVmasBesideEachOther) {
  Beside(
      [](World& world) {
        world.mm.Map(Page(0), 1, kPrivateReadWrite);
        world.mm.Map(Page(1), 1, kPrivateReadWrite);
      },
      Touch(0, AccessKind::kWrite), Touch(1, AccessKind::kWrite),
      [](World& world) {
        const bool shared = world.mm.vma(0).anon_vma() == world.mm.vma(1).anon_vma();
        MM_CHECK_EQ(world.machine.anon_vmas().count(), shared ? 1u : 2u);
        for (size_t i = 0; i < 2; ++i) AnonVmas::Validate(world.mm.vma(i));
      });
}

TEST(FaultExploredTest, TwoWritesToASharedPageCopyItOnce) {
  Beside([](World& world) { Share(world, 3); }, Touch(0, AccessKind::kWrite),
         Touch(0, AccessKind::kWrite),
         [](World& world) {
           World::CheckOwn(world.mm, 0, 3);
           World::CheckOwn(world.child, 0, 3);
           MM_CHECK(!world.child.EntryAt(kBase).writable());
         });
}

TEST(FaultExploredTest, BothSharersMayWriteAtOnce) {
  Beside([](World& world) { Share(world, 3); }, [](World& world) { world.mm.Store(kBase, 1); },
         [](World& world) { world.child.Store(kBase, 2); },
         [](World& world) {
           World::CheckOwn(world.mm, 0, 1);
           World::CheckOwn(world.child, 0, 2);
           MM_CHECK(&world.mm.FolioAt(kBase) != &world.child.FolioAt(kBase));
         });
}

TEST(FaultExploredTest, NoStoreIsLostToACopyAndNoneReachesTheOldPage) {
  // Two words of one page, each task its own, through TLB, walk and faults.
  Beside([](World& world) { Share(world, 3); }, [](World& world) { world.mm.Store(kBase, 1); },
         [](World& world) { world.mm.Store(kBase + 8, 2); },
         [](World& world) {
           World::CheckOwn(world.mm, 0, 1);
           MM_CHECK_EQ(world.mm.Load(kBase + 8), 2u);
           World::CheckOwn(world.child, 0, 3);
           MM_CHECK_EQ(world.child.Load(kBase + 8), 0u);
         });
}

TEST(FaultExploredTest, NoStoreIsLostWhenTheZeroPageIsReplaced) {
  Beside(
      [](World& world) {
        world.mm.Map(kBase, 1, kPrivateReadWrite);
        MM_CHECK_EQ(world.mm.Load(kBase), 0u);
      },
      [](World& world) { world.mm.Store(kBase, 1); },
      [](World& world) { world.mm.Store(kBase + 8, 2); },
      [](World& world) {
        World::CheckOwn(world.mm, 0, 1);
        MM_CHECK_EQ(world.mm.Load(kBase + 8), 2u);
      });
}

TEST(FaultExploredTest, AReaderNeverGoesBackToTheOldPage) {
  Beside(
      [](World& world) {
        Share(world, 3);
        MM_CHECK_EQ(world.mm.Load(kBase), 3u);
      },
      [](World& world) {
        world.mm.Store(kBase, 4);
        MM_CHECK_EQ(world.mm.Load(kBase), 4u);
      },
      [](World& world) {
        const uint64_t first = world.mm.Load(kBase);
        const uint64_t second = world.mm.Load(kBase);
        MM_CHECK(first == 3 || first == 4);
        MM_CHECK(second == 4 || second == first);
      },
      [](World& world) { World::CheckOwn(world.mm, 0, 4); });
}

TEST(FaultExploredTest, AFinishedStoreIsSeenOnEveryCpuWhileThePageIsReplaced) {
  // M22: were the new entry set before the flush, one CPU could store into the new page while
  // another one still reads the old one.
  Explored([](World& world) { Share(world, 3); },
           {Touch(0, AccessKind::kWrite),
            [](World& world) {
              world.mm.Store(kBase, 4);
              world.done.Store(1, kRelease);  // pairs with the load below
            },
            [](World& world) {
              const uint64_t first = world.mm.Load(kBase);
              MM_CHECK(first == 3 || first == 4);
              if (world.done.Load(kAcquire) == 1) MM_CHECK_EQ(world.mm.Load(kBase), 4u);
            }},
           [](World& world) { World::CheckOwn(world.mm, 0, 4); });
}

TEST(FaultExploredTest, AZapBesideAWriteTakesThePageOrComesBefore) {
  Beside(
      MapAnon, Touch(0, AccessKind::kWrite),
      [](World& world) { world.mm.Zap(VirtRange(Page(0), Page(512))); },
      [](World& world) {
        const bool mapped = world.mm.EntryAt(kBase).present();
        MM_CHECK_EQ(world.mm.Count(MmCounter::kAnonPages), mapped ? 1 : 0);
      });
}

TEST(FaultExploredTest, AZapBesideAFaultOnThePageLeavesNothingHalfDone) {
  Beside(
      [](World& world) {
        MapAnon(world);
        world.mm.Store(kBase, 4);
      },
      Touch(0, AccessKind::kRead),
      [](World& world) { world.mm.Zap(VirtRange(Page(0), Page(512))); },
      [](World& world) {
        const Entry entry = world.mm.EntryAt(kBase);
        MM_CHECK(entry.none() || (entry.present() && entry.special()));  // or read behind the zap
        MM_CHECK_EQ(world.mm.Count(MmCounter::kAnonPages), 0);
      });
}

TEST(FaultExploredTest, AWalkBesideAZapBringsNothingBack) {
  // The child's entry is old: the walk marks it.
  Beside([](World& world) { Share(world, 3); },
         [](World& world) { (void)MmuTouch(world.child.target(), kBase, AccessKind::kRead); },
         [](World& world) { world.child.Zap(VirtRange(Page(0), Page(1))); },
         [](World& world) {
           MM_CHECK(world.child.EntryAt(kBase).none());
           MM_CHECK(!MmuTouch(world.child.target(), kBase, AccessKind::kRead));
           World::CheckOwn(world.mm, 0, 3);
         });
}

TEST(FaultExploredTest, AZapThatFreesTheTableBesideACopyLeavesNothingHalfDone) {
  Beside([](World& world) { Share(world, 3); }, Touch(0, AccessKind::kWrite),
         [](World& world) {
           TlbGather gather(world.machine.frames(), world.machine.heap(), world.machine.tlbs(),
                            world.mm.target().tlb);
           ZapRange(world.mm.tables(), gather, VirtRange(Page(0), Page(512)),
                    {.free_empty_tables = true});
           gather.Finish();
         },
         [](World& world) {
           const bool mapped = world.mm.EntryAt(kBase).present();
           MM_CHECK_EQ(world.mm.Count(MmCounter::kAnonPages), mapped ? 1 : 0);
           if (mapped) World::CheckOwn(world.mm, 0, 0);  // the fault came behind the zap
           World::CheckOwn(world.child, 0, 3);
         });
}

TEST(FaultExploredTest, OfTwoReadsOfAFilePageOneMapsIt) {
  Beside(
      [](World& world) {
        Mapping& file = world.machine.NewMapping(Mapping::Kind::kFile, 2);
        world.mm.Map(kBase, 2, kSharedReadWrite, &file);
        file.Put();
      },
      Touch(0, AccessKind::kRead), Touch(0, AccessKind::kWrite),
      [](World& world) {
        Folio& cached = world.mm.FolioAt(kBase);
        MM_CHECK_EQ(cached.refcount(), 2u);
        MM_CHECK_EQ(cached.mapcount(), 1);
        MM_CHECK_EQ(world.mm.Count(MmCounter::kFilePages), 1);
      });
}

TEST(FaultExploredTest, AroundBesideAWriteIntoItsWindowMapsEachPageOnce) {
  Beside(
      [](World& world) {
        Mapping& file = world.machine.NewMapping(Mapping::Kind::kFile, 2);
        world.machine.Fill(file, 0, 5);
        world.machine.Fill(file, 1, 6);
        world.mm.Map(kBase, 2, kPrivateReadWrite, &file);
        file.Put();
      },
      Touch(0, AccessKind::kRead), [](World& world) { world.mm.Store(Page(1), 7); },
      [](World& world) {
        MM_CHECK_EQ(world.mm.Count(MmCounter::kFilePages), 1);
        MM_CHECK_EQ(world.mm.Count(MmCounter::kAnonPages), 1);
        MM_CHECK_EQ(world.mm.Load(Page(0)), 5u);
        World::CheckOwn(world.mm, 1, 7);
      },
      2 * kPageSize);
}

}  // namespace
}  // namespace faultline
