// SPDX-License-Identifier: Apache-2.0
//
// Faults beside munmap and mmap. A fault beside munmap of its page comes before, and its page and
// its tables go with the rest, or finds nothing; what it puts in must not survive, and not be put
// into a table that munmap has taken out (seed 004: M1, M17). One beside a mapping next to it, or
// over it, always succeeds: at no moment is its page unmapped (B15, M6, M23).
#include "core/base/check.h"
#include "core/explore/fault_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using World = FaultWorld;

constexpr auto kMayFindNothing = May::kFindNothing;

void NothingIsLeft(World& world) {
  MM_CHECK_EQ(world.mm().map_count(), 0u);
  MM_CHECK_EQ(world.mm().counters().Sum(MmCounter::kTables), 1);
}

// -- munmap ---------------------------------------------------------------------------------------

std::vector<FaultScenario> BesideMunmap() {
  return {
      {"fault_vs_munmap_cold",
       "a store to a page being unmapped, no table there yet",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}},
       &NothingIsLeft},
      {"fault_vs_munmap_warm",
       "a store to a page being unmapped, in a table that is there",
       [](World& world) {
         world.Map(0, 2);
         world.Write(1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 2); }}},
       &NothingIsLeft},
      {"fault_vs_munmap_pte_table",
       "a store to a page being unmapped, its PTE table missing",
       [](World& world) {
         world.Map(511, 2);
         world.Write(511, 7);
       },
       {{"fault", [](World& world) { world.Write(512, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(511, 2); }}},
       &NothingIsLeft},
      {"fault_vs_munmap_upper",
       "a store to a page being unmapped, an upper table missing",
       [](World& world) {
         world.Map(-1, 2);
         world.Write(-1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(-1, 2); }}},
       &NothingIsLeft},
      {"fault_vs_munmap_pte_kept",
       "likewise, and what is left of its VMA keeps the tables above",
       [](World& world) {
         world.Map(511, 2);
         world.Write(511, 7);
       },
       {{"fault", [](World& world) { world.Write(512, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(512, 1); }}}},
      {"fault_vs_munmap_upper_kept",
       "a store below a missing upper table whose parent is kept, beside munmap of the page",
       [](World& world) {
         world.Map(-1, 2);
         world.Write(-1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
      {"fault_vs_munmap_first",
       "the first store in a VMA being unmapped, in a table that is there",
       [](World& world) {
         world.Map(0, 1);
         world.Map(2, 1, World::kAll);
         world.Write(2, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
      {"read_vs_munmap_upper",
       "a load from a page being unmapped, an upper table missing",
       [](World& world) {
         world.Map(-1, 2);
         world.Read(-1, {0});
       },
       {{"fault", [](World& world) { world.Read(0, {0}, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(-1, 2); }}},
       &NothingIsLeft},
      {"read_vs_munmap_cold",
       "a load from a page being unmapped, no table there yet",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Read(0, {0}, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}},
       &NothingIsLeft},
  };
}

std::vector<FaultScenario> FilesBesideMunmap() {
  return {
      {"file_vs_munmap",
       "a store to a shared file page being unmapped",
       [](World& world) { world.MapFile(0, 2, World::Sharing::kShared); },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 2); }}},
       &NothingIsLeft},
      {"file_cow_vs_munmap",
       "a store to a private file page, mapped for reading, being unmapped",
       [](World& world) {
         world.MapFile(0, 2, World::Sharing::kPrivate);
         world.Read(0, {0});
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 2); }}},
       &NothingIsLeft},
  };
}

std::vector<FaultScenario> BesideMunmapOfAPart() {
  return {
      {"fault_vs_munmap_front",
       "a store beside munmap of the page before: it succeeds",
       [](World& world) { world.Map(0, 2); },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
      {"fault_vs_munmap_back",
       "a store beside munmap of the page behind: it succeeds",
       [](World& world) {
         world.Map(0, 2);
         world.Write(1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"munmap", [](World& world) { world.Unmap(1, 1); }}}},
      {"fault_vs_munmap_middle",
       "a store behind a hole that splits its VMA: it succeeds",
       [](World& world) { world.Map(0, 3); },
       {{"fault", [](World& world) { world.Write(2, 1); }},
        {"munmap", [](World& world) { world.Unmap(1, 1); }}}},
      {"fault_vs_munmap_neighbour",
       "a first store beside munmap of a VMA that shares its tables",
       [](World& world) {
         world.Map(511, 1);
         world.Map(512, 1, World::kAll);
         world.Write(511, 7);
       },
       {{"fault", [](World& world) { world.Write(512, 1); }},
        {"munmap", [](World& world) { world.Unmap(511, 1); }}}},
      {"fault_vs_munmap_twice",
       "a store beside munmaps of its page and of the page behind",
       [](World& world) {
         world.Map(0, 2);
         world.Write(1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }},
        {"munmap2", [](World& world) { world.Unmap(1, 1); }}},
       &NothingIsLeft},
  };
}

// -- mmap -----------------------------------------------------------------------------------------

std::vector<FaultScenario> BesideMmap() {
  return {
      {"fault_vs_mmap_beside",
       "a first store beside a mapping elsewhere: it succeeds",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"mmap", [](World& world) { world.Map(2, 1); }}}},
      {"fault_vs_mmap_merge",
       "a first store while its VMA grows by a mapping: it succeeds",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"mmap", [](World& world) { world.Map(1, 1); }}}},
      {"fault_vs_mmap_merge_warm",
       "a store while its VMA, with pages, grows: it succeeds",
       [](World& world) {
         world.Map(0, 2);
         world.Write(1, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"mmap", [](World& world) { world.Map(2, 1); }}}},
      {"fault_vs_mmap_before",
       "a store while its VMA grows downwards: it succeeds",
       [](World& world) { world.Map(1, 1); },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"mmap", [](World& world) { world.Map(0, 1); }}}},
      {"fault_vs_mmap_fill",
       "a store in a VMA that is merged away with its gap: it succeeds",
       [](World& world) {
         world.Map(0, 1);
         world.Map(2, 1);
       },
       {{"fault", [](World& world) { world.Write(2, 1); }},
        {"mmap", [](World& world) { world.Map(1, 1); }}}},
      {"fault_vs_munmap_mmap",
       "a store to a page that one task unmaps and another maps if free",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }},
        {"mmap", [](World& world) { (void)world.MapIfFree(0, 1); }}}},
  };
}

// -- MAP_FIXED over a mapping ---------------------------------------------------------------------

std::vector<FaultScenario> BesideReplacement() {
  return {
      {"fault_vs_replace_cold",
       "a store to a page being mapped over, no table yet: it succeeds",
       [](World& world) { world.Map(0, 1); },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"replace", [](World& world) { world.Map(0, 1, World::kAll); }}}},
      {"fault_vs_replace_warm",
       "a load from a page being mapped over: the old or the new content",
       [](World& world) {
         world.Map(0, 1);
         world.Write(0, 7);
       },
       {{"fault", [](World& world) { world.Read(0, {0, 7}); }},
        {"replace", [](World& world) { world.Map(0, 1, World::kAll); }}}},
      {"fault_vs_replace_part",
       "a store to a page in the middle of a VMA, being mapped over",
       [](World& world) { world.Map(0, 3); },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"replace", [](World& world) { world.Map(1, 1, World::kAll); }}}},
      {"fault_vs_replace_all",
       "a store to the second of two VMAs that one mapping replaces",
       [](World& world) {
         world.Map(0, 1);
         world.Map(1, 1, World::kAll);
       },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"replace", [](World& world) { world.Map(0, 2); }}}},
      {"faults_vs_replace",
       "a store and a load at a page that is mapped over: both succeed",
       [](World& world) { world.Map(0, 1); },
       {{"store", [](World& world) { world.Write(0, 1); }},
        {"load", [](World& world) { world.Read(0, {0, 1}); }},
        {"replace", [](World& world) { world.Map(0, 1, World::kAll); }}}},
  };
}

}  // namespace

std::vector<FaultScenario> FaultMapScenarios() {
  std::vector<FaultScenario> all = BesideMunmap();
  for (const auto& more :
       {FilesBesideMunmap(), BesideMunmapOfAPart(), BesideMmap(), BesideReplacement()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace faultline
