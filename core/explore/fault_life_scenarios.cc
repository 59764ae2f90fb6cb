// SPDX-License-Identifier: Apache-2.0
//
// Faults beside the beginning and end of mms and VMAs: fork and the copy-on-write behind it, exit,
// stacks that grow, and VMAs whose memory becomes another VMA, of this mm or of another one, while
// a fault still has it in hand (B16, M4, M5).
//
// Where nobody but one task stores to a page, its own loads find what it stored, whatever copying
// goes on beside it (M3, M22).
#include "core/base/check.h"
#include "core/explore/fault_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using World = FaultWorld;

constexpr auto kMayFindNothing = May::kFindNothing;

/// A page with a word and, on CPU 0, a translation.
void OnePage(World& world) {
  world.Map(0, 1);
  world.Write(0, 7);
}

/// The same, shared with a child, so that a store has to copy it first.
void OneSharedPage(World& world) {
  OnePage(world);
  world.Fork();
  world.Read(0, {7});
}

// -- fork -----------------------------------------------------------------------------------------

std::vector<FaultScenario> BesideFork() {
  return {
      {"fault_vs_fork",
       "a first store beside fork: both mms are valid",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"fork", [](World& world) { world.Fork(); }}},
       [](World& world) { world.Read(0, {1}); }},
      {"fault_vs_fork_warm",
       "a store beside fork, a page next to it being copied",
       [](World& world) {
         world.Map(0, 2);
         world.Write(1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"fork", [](World& world) { world.Fork(); }}},
       [](World& world) { world.Read(0, {1}); }},
      {"store_vs_fork",
       "a store with a translation at hand beside fork: it is not lost",
       &OnePage,
       {{"store",
         [](World& world) {
           world.Write(0, 3);
           world.Read(0, {3});
         }},
        {"fork", [](World& world) { world.Fork(); }}}},
      {"store_vs_fork_copy",
       "likewise, while a third task has the page copied",
       &OnePage,
       {{"store",
         [](World& world) {
           world.Write(0, 3);
           world.Read(0, {3});
         }},
        {"fork", [](World& world) { world.Fork(); }},
        {"copy", [](World& world) { world.TouchForWrite(0); }}},
       [](World& world) { world.Read(0, {3}); },
       /*cpus=*/3},
  };
}

// -- Copy-on-write --------------------------------------------------------------------------------

std::vector<FaultScenario> BesideCopying() {
  return {
      {"cow_vs_store_load",
       "while a page is copied, one task stores, one loads by an old translation",
       &OneSharedPage,
       {{"load",
         [](World& world) {
           const bool is_stored = world.Told() != 0;
           const uint64_t word = world.Read(0, {3, 7});
           MM_CHECK(!is_stored || word == 3);
         }},
        {"store",
         [](World& world) {
           world.Write(0, 3);
           world.Tell(1);
         }},
        {"copy", [](World& world) { world.TouchForWrite(0); }}},
       [](World& world) { world.Read(0, {3}); },
       /*cpus=*/3},
      {"cow_vs_cow",
       "two stores to a page that has to be copied first",
       &OneSharedPage,
       {{"first", [](World& world) { world.Write(0, 1); }},
        {"second", [](World& world) { world.Write(0, 2); }}},
       [](World& world) { world.Read(0, {1, 2}); }},
      {"cow_vs_munmap",
       "a store to a page that has to be copied, beside munmap",
       &OneSharedPage,
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
  };
}

// -- exit -----------------------------------------------------------------------------------------

std::vector<FaultScenario> BesideExit() {
  return {
      {"fault_vs_exit",
       "one user exits and leaves, another one stores and leaves",
       [](World& world) {
         world.Map(0, 1);
         world.AddUser();
       },
       {{"fault",
         [](World& world) {
           world.Write(0, 1);
           world.LeaveMm();
         }},
        {"exit",
         [](World& world) {
           world.mm().Exit();
           world.LeaveMm();
         }}}},
      {"killed_fault_vs_exit",
       "the same, the storing task being attached: it may be killed",
       [](World& world) {
         world.Map(0, 1);
         world.AddUser();
       },
       {{"fault",
         [](World& world) {
           world.mm().AttachTask(CurrentTask());
           world.Write(0, 1, May::kLackMemory);
           world.mm().DetachTask(CurrentTask());
           CurrentTask().ClearKill();
           world.LeaveMm();
         }},
        {"exit",
         [](World& world) {
           world.mm().Exit();
           world.LeaveMm();
         }}}},
  };
}

// -- Stacks ---------------------------------------------------------------------------------------

void MapStack(World& world) { world.Map(3, 1, World::kReadWrite, abi::kMapGrowsDown); }

/// Page 1 is a neighbour's with a page in it; a stack begins at page 3.
void MapNeighbourAndStack(World& world) {
  world.Map(1, 1);
  world.Write(1, 7);
  MapStack(world);
}

std::vector<FaultScenario> BesideStacks() {
  return {
      {"stack_vs_fault",
       "a store below a stack, which grows, beside the first store in it",
       &MapStack,
       {{"grow", [](World& world) { world.Write(2, 1); }},
        {"fault", [](World& world) { world.Write(3, 2); }}}},
      {"stack_vs_fault_warm",
       "the same in a stack that has pages",
       [](World& world) {
         world.Map(3, 2, World::kReadWrite, abi::kMapGrowsDown);
         world.Write(4, 7);
       },
       {{"grow", [](World& world) { world.Write(2, 1); }},
        {"fault", [](World& world) { world.Write(3, 2); }}}},
      {"stack_vs_stack",
       "two stores below a stack, at different pages",
       &MapStack,
       {{"grow", [](World& world) { world.Write(2, 1); }},
        {"grow_more", [](World& world) { world.Write(1, 2); }}}},
      {"stack_vs_munmap_below",
       "a store where a neighbour is unmapped and the stack may grow to",
       &MapNeighbourAndStack,
       {{"grow", [](World& world) { world.Write(1, 1); }},
        {"munmap", [](World& world) { world.Unmap(1, 1); }}}},
      {"stack_vs_munmap_table",
       "the same, the neighbour having a PTE table of its own, which goes",
       [](World& world) {
         world.Map(511, 1);
         world.Write(511, 7);
         world.Map(512, 1, World::kReadWrite, abi::kMapGrowsDown);
         world.Write(512, 7);
       },
       // In this order: the CPU of the first task knows the neighbour's page until munmap's flush.
       {{"munmap", [](World& world) { world.Unmap(511, 1); }},
        {"grow", [](World& world) { world.Write(511, 1); }}}},
      {"stack_vs_munmap",
       "a store below a stack that is unmapped",
       &MapStack,
       {{"grow", [](World& world) { world.Write(2, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(3, 1); }}}},
  };
}

// -- Recycled VMAs --------------------------------------------------------------------------------

std::vector<FaultScenario> BesideRecycling() {
  return {
      {"fault_vs_recycle",
       "a store to a page whose VMA is unmapped and becomes another range",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"recycle",
         [](World& world) {
           world.Unmap(0, 1);
           world.Map(2, 1);
         }}}},
      {"fault_vs_recycle_same",
       "a store to a page whose VMA is unmapped and mapped again",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"recycle",
         [](World& world) {
           world.Unmap(0, 1);
           world.Map(0, 1);
         }}}},
      {"fault_vs_recycle_mm",
       "a store to a page whose VMA becomes another mm's, which then ends",
       [](World& world) {
         world.MakeOther();
         world.Map(0, 1);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"recycle",
         [](World& world) {
           world.Unmap(0, 1);
           world.UseAndEndOther(0);
         }}}},
      {"recycled_vma_vs_exit",
       "a count on a slot that has become another mm's VMA, dropped while that mm ends",
       [](World& world) {
         world.MakeOther();
         world.Map(0, 1);
         world.RememberVma(0);
         world.Unmap(0, 1);
         world.MapInOther(0);
       },
       {{"lookup",
         [](World& world) {
           world.CountRemembered();
           (void)world.Told();
         }},
        {"exit",
         [](World& world) {
           world.EndOther();
           world.Tell(1);
         }}}},
      {"fault_vs_recycle_two",
       "the same, the other mm being a task of its own",
       [](World& world) {
         world.MakeOther();
         world.Map(0, 1);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }},
        {"other", [](World& world) { world.UseAndEndOther(0); }}}},
  };
}

}  // namespace

std::vector<FaultScenario> FaultLifeScenarios() {
  std::vector<FaultScenario> all = BesideFork();
  for (const auto& more : {BesideCopying(), BesideExit(), BesideStacks(), BesideRecycling()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace faultline
