// SPDX-License-Identifier: Apache-2.0
//
// Faults and loads beside operations that change a mapping without taking it away: mprotect, mremap
// and, as an onlooker, the reading of maps. A store beside a change of rights may be denied, never
// lost or let through once the change is complete; a page that moves is found at the old place or
// at the new, with its content. Maps never show a gap where something is always mapped.
#include "core/base/check.h"
#include "core/explore/fault_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using World = FaultWorld;

constexpr auto kMayFindNothing = May::kFindNothing;

// -- mprotect -------------------------------------------------------------------------------------

std::vector<FaultScenario> BesideMprotect() {
  return {
      {"fault_vs_mprotect",
       "a first store beside a change to read-only and back",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1, May::kBeDenied); }},
        {"mprotect",
         [](World& world) {
           world.Protect(0, 1, World::kReadOnly);
           world.Protect(0, 1, World::kReadWrite);
         }}}},
      {"read_vs_mprotect",
       "a load beside a change to read-only: it succeeds",
       [](World& world) {
         world.Map(0, 1);
         world.Write(0, 7);
       },
       {{"fault", [](World& world) { world.Read(0, {7}); }},
        {"mprotect", [](World& world) { world.Protect(0, 1, World::kReadOnly); }}}},
      {"store_vs_mprotect_warm",
       "a store with a translation at hand: once read-only, denied",
       [](World& world) {
         world.Map(0, 1);
         world.Write(0, 7);
       },
       {{"store",
         [](World& world) {
           const bool is_read_only = world.Told() != 0;
           const bool stored = world.Write(0, 1, May::kBeDenied);
           MM_CHECK(!(is_read_only && stored));
         }},
        {"mprotect",
         [](World& world) {
           world.Protect(0, 1, World::kReadOnly);
           world.Tell(1);
         }}}},
      {"fault_vs_mprotect_split",
       "a first store beside a change of the page behind: it succeeds",
       [](World& world) { world.Map(0, 2); },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"mprotect", [](World& world) { world.Protect(1, 1, World::kReadOnly); }}}},
      {"fault_vs_mprotect_tail",
       "a store to what a change of the page before makes a VMA of",
       [](World& world) {
         world.Map(0, 2);
         world.Write(0, 7);
       },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"mprotect", [](World& world) { world.Protect(0, 1, World::kReadOnly); }}}},
      {"fault_vs_mprotect_merge",
       "a store in a VMA that a change merges away: it succeeds",
       [](World& world) {
         world.Map(0, 1, World::kReadOnly);
         world.Map(1, 1);
       },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"mprotect", [](World& world) { world.Protect(0, 1, World::kReadWrite); }}}},
  };
}

// -- mremap ---------------------------------------------------------------------------------------

std::vector<FaultScenario> BesideMremap() {
  return {
      {"fault_vs_mremap_old",
       "a store at the place that a mapping without pages leaves",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"mremap", [](World& world) { world.Move(0, 2, 1); }}}},
      {"fault_vs_mremap_new",
       "a load at the place where a page arrives: its content, or nothing",
       [](World& world) {
         world.Map(0, 1);
         world.Write(0, 7);
       },
       {{"fault", [](World& world) { world.Read(2, {7}, kMayFindNothing); }},
        {"mremap", [](World& world) { world.Move(0, 2, 1); }}}},
      {"store_vs_mremap_warm",
       "a store with a translation at hand to a page that moves: not lost",
       [](World& world) {
         world.Map(0, 1);
         world.Write(0, 7);
       },
       {{"store",
         [](World& world) {
           if (world.Write(0, 1, kMayFindNothing)) world.Tell(1);
         }},
        {"mremap", [](World& world) { world.Move(0, 2, 1); }}},
       [](World& world) { world.Read(2, {world.Told() != 0 ? uint64_t{1} : uint64_t{7}}); }},
      {"fault_vs_mremap_tables",
       "a store beside its mapping's move to tables that are missing",
       [](World& world) {
         world.Map(511, 1);
         world.Write(511, 7);
       },
       {{"fault", [](World& world) { world.Write(511, 1, kMayFindNothing); }},
        {"mremap", [](World& world) { world.Move(511, 1024, 1); }}}},
      {"faults_vs_mremap",
       "a store at the old place and one at the new, beside the move",
       [](World& world) { world.Map(0, 1); },
       {{"old", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"new", [](World& world) { world.Write(2, 2, kMayFindNothing); }},
        {"mremap", [](World& world) { world.Move(0, 2, 1); }}}},
  };
}

// -- maps -----------------------------------------------------------------------------------------

/// Pages that maps show from page 0 on without a gap.
uint64_t PagesInMaps(World& world) {
  VirtAddr end = World::Address(0);
  world.mm().ForEachVma([&](const MapsLine& line) {
    if (line.range.start() == end) end = line.range.end();
  });
  return (end - World::Address(0)) >> kPageShift;
}

std::vector<FaultScenario> BesideMaps() {
  return {
      {"maps_vs_replace",
       "maps read, and a page stored to, while the page is mapped over",
       [](World& world) { world.Map(0, 1); },
       {{"maps", [](World& world) { MM_CHECK_EQ(PagesInMaps(world), 1u); }},
        {"fault", [](World& world) { world.Write(0, 1); }},
        {"replace", [](World& world) { world.Map(0, 1, World::kAll); }}}},
      {"maps_vs_split",
       "maps read, and a page stored to, while their VMA is split",
       [](World& world) { world.Map(0, 3); },
       {{"maps", [](World& world) { MM_CHECK_EQ(PagesInMaps(world), 3u); }},
        {"fault", [](World& world) { world.Write(2, 1); }},
        {"mprotect", [](World& world) { world.Protect(1, 1, World::kReadOnly); }}}},
  };
}

}  // namespace

std::vector<FaultScenario> FaultChangeScenarios() {
  std::vector<FaultScenario> all = BesideMprotect();
  for (const auto& more : {BesideMremap(), BesideMaps()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace faultline
