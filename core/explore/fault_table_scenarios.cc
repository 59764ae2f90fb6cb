// SPDX-License-Identifier: Apache-2.0
//
// Faults beside other faults, DONTNEED, and allocations that fail. Two faults want to put the same
// page, table or anon_vma in place: one of them does, both succeed. DONTNEED of a whole 2 MiB range
// takes its PTE table out without marking anything (B40a): every entry to a PTE table has to look
// whether it still is the one. Pages go back to the allocator only when no TLB knows them (M15).
#include "core/base/check.h"
#include "core/explore/fault_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using World = FaultWorld;

constexpr auto kMayFindNothing = May::kFindNothing;
constexpr int64_t kTablePages = kPagesPerPmd;  ///< of one PTE table

// -- Another fault --------------------------------------------------------------------------------

std::vector<FaultScenario> BesideFaults() {
  return {
      {"fault_vs_fault_page",
       "two first stores to one page",
       [](World& world) { world.Map(0, 1); },
       {{"first", [](World& world) { world.Write(0, 1); }},
        {"second", [](World& world) { world.Write(0, 2); }}},
       [](World& world) { world.Read(0, {1, 2}); }},
      {"fault_vs_fault_table",
       "two stores to pages of one table that is there",
       [](World& world) {
         world.Map(0, 3);
         world.Write(2, 7);
       },
       {{"first", [](World& world) { world.Write(0, 1); }},
        {"second", [](World& world) { world.Write(1, 2); }}},
       [](World& world) {
         world.Read(0, {1});
         world.Read(1, {2});
       }},
      {"fault_vs_fault_first",
       "two first stores in one VMA, in a table that is there",
       [](World& world) {
         world.Map(0, 2);
         world.Map(3, 1, World::kAll);
         world.Write(3, 7);
       },
       {{"first", [](World& world) { world.Write(0, 1); }},
        {"second", [](World& world) { world.Write(1, 2); }}},
       [](World& world) {
         world.Read(0, {1});
         world.Read(1, {2});
       }},
      {"fault_vs_fault_upper",
       "two first stores below one upper table, which is missing",
       [](World& world) { world.Map(511, 2); },
       {{"first", [](World& world) { world.Write(511, 1); }},
        {"second", [](World& world) { world.Write(512, 2); }}},
       [](World& world) {
         world.Read(511, {1});
         world.Read(512, {2});
       }},
      {"fault_vs_fault_adjacent",
       "first stores in two VMAs that could share an anon_vma",
       [](World& world) {
         world.Map(0, 1);
         world.Map(1, 1, World::kAll);
       },
       {{"first", [](World& world) { world.Write(0, 1); }},
        {"second", [](World& world) { world.Write(1, 2); }}}},
      {"read_vs_fault_page",
       "a first load and a first store of one page",
       [](World& world) { world.Map(0, 1); },
       {{"load", [](World& world) { world.Read(0, {0, 1}); }},
        {"store", [](World& world) { world.Write(0, 1); }}},
       [](World& world) { world.Read(0, {1}); }},
      {"file_vs_file",
       "a store and a load of one page of a shared file",
       [](World& world) { world.MapFile(0, 1, World::Sharing::kShared); },
       {{"store", [](World& world) { world.Write(0, 1); }},
        {"load", [](World& world) { world.Read(0, {0, 1}); }}},
       [](World& world) { world.Read(0, {1}); }},
  };
}

// -- DONTNEED -------------------------------------------------------------------------------------

void MapTable(World& world) {
  world.Map(kTablePages, kTablePages);
  world.Write(kTablePages, 7);
}
void DropTable(World& world) { world.DontNeed(kTablePages, kTablePages); }

std::vector<FaultScenario> BesideDontNeed() {
  return {
      {"fault_vs_dontneed",
       "a store to a page being dropped: it succeeds",
       [](World& world) {
         world.Map(0, 1);
         world.Write(0, 7);
       },
       {{"fault", [](World& world) { world.Write(0, 1); }},
        {"dontneed", [](World& world) { world.DontNeed(0, 1); }}},
       [](World& world) { world.Read(0, {0, 1}); }},
      {"fault_vs_dontneed_table",
       "a store below a PTE table that DONTNEED takes out",
       &MapTable,
       {{"fault", [](World& world) { world.Write(kTablePages + 1, 1); }},
        {"dontneed", &DropTable}}},
      {"read_vs_dontneed_table",
       "a load of a page whose PTE table DONTNEED takes out",
       &MapTable,
       {{"fault", [](World& world) { world.Read(kTablePages, {0, 7}); }},
        {"dontneed", &DropTable}}},
      {"fault_vs_two_dontneed",
       "a store below a PTE table that two DONTNEEDs want to take out",
       &MapTable,
       {{"fault", [](World& world) { world.Write(kTablePages + 1, 1); }},
        {"dontneed", &DropTable},
        {"dontneed2", &DropTable}}},
      {"two_dontneed_vs_munmap",
       "a store beside DONTNEED and munmap of its table",
       &MapTable,
       {{"fault", [](World& world) { world.Write(kTablePages + 1, 1, kMayFindNothing); }},
        {"dontneed",
         [](World& world) {
           // The range may have gone by then.
           (void)world.mm().Madvise(World::Address(kTablePages), kPmdSize, abi::kMadvDontNeed);
         }},
        {"munmap", [](World& world) { world.Unmap(kTablePages, kTablePages); }}}},
  };
}

// -- Reclaim of tables ----------------------------------------------------------------------------

/// A file page whose table is there and empty.
void MapEmptyTable(World& world) {
  world.MapFile(0, 1, World::Sharing::kShared);
  world.Write(0, 7);
  world.DontNeed(0, 1);
}

std::vector<FaultScenario> BesideReclaim() {
  return {
      {"fault_vs_reclaim_table",
       "a load of a file page below an empty PTE table that reclaim takes out",
       &MapEmptyTable,
       {{"fault", [](World& world) { world.Read(0, {7}); }},
        {"reclaim", [](World& world) { world.ReclaimTables(); }}},
       [](World& world) { world.Read(0, {7}); }},
      {"fault_vs_reclaim_neighbour",
       "a store to anonymous memory that shares its table with a file, beside reclaim",
       [](World& world) {
         MapEmptyTable(world);
         world.Map(1, 1);
       },
       {{"fault", [](World& world) { world.Write(1, 1); }},
        {"reclaim", [](World& world) { world.ReclaimTables(); }}},
       [](World& world) { world.Read(1, {1}); }},
      {"reclaim_vs_munmap",
       "reclaim of an empty PTE table beside munmap, which takes all tables out",
       &MapEmptyTable,
       {{"reclaim", [](World& world) { world.ReclaimTables(); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
      {"fault_vs_reclaim_munmap",
       "a store to a file page beside reclaim of its table and munmap",
       &MapEmptyTable,
       {{"fault", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"reclaim", [](World& world) { world.ReclaimTables(); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
  };
}

// -- Pages and TLBs -------------------------------------------------------------------------------

/// One CPU: the tasks share its TLB, and a frame that one frees is the next that another gets.
constexpr uint32_t kOneCpu = 1;

void TwoPages(World& world) {
  world.Map(0, 1);
  world.Map(2, 1);
  world.Write(0, 7);
}
void PageTwoIsIntact(World& world) { world.Read(2, {5}); }

std::vector<FaultScenario> BesideWarmTlbs() {
  return {
      {"store_vs_munmap_warm",
       "a store with a translation at hand, munmap, and a new page",
       &TwoPages,
       {{"munmap", [](World& world) { world.Unmap(0, 1); }},
        {"store", [](World& world) { world.Write(0, 1, kMayFindNothing); }},
        {"fault", [](World& world) { world.Write(2, 5); }}},
       &PageTwoIsIntact,
       kOneCpu},
      {"store_vs_dontneed_warm",
       "a store with a translation at hand, DONTNEED, and a new page",
       &TwoPages,
       {{"dontneed", [](World& world) { world.DontNeed(0, 1); }},
        {"store", [](World& world) { world.Write(0, 1); }},
        {"fault", [](World& world) { world.Write(2, 5); }}},
       &PageTwoIsIntact,
       kOneCpu},
  };
}

// -- Allocations that fail ------------------------------------------------------------------------

/// The next table that anybody allocates cannot be had.
void FailOneTable(World& world) {
  world.machine().fail_points().Arm(1, FailPoints::Mode::kOnce,
                                    1u << static_cast<uint32_t>(FailSite::kTable));
}

std::vector<FaultScenario> BesideFailures() {
  return {
      {"table_fails_vs_munmap",
       "a store whose first table cannot be had, beside munmap",
       [](World& world) {
         world.Map(0, 1);
         FailOneTable(world);
       },
       {{"fault", [](World& world) { world.Write(0, 1, May::kLackMemory); }},
        {"munmap", [](World& world) { world.Unmap(0, 1); }}}},
      {"table_fails_vs_fault",
       "two stores below missing tables, of which the first cannot be had",
       [](World& world) {
         world.Map(511, 2);
         FailOneTable(world);
       },
       {{"first", [](World& world) { world.Write(511, 1, May::kLackMemory); }},
        {"second", [](World& world) { world.Write(512, 2, May::kLackMemory); }}}},
  };
}

}  // namespace

std::vector<FaultScenario> FaultTableScenarios() {
  std::vector<FaultScenario> all = BesideFaults();
  for (const auto& more : {BesideDontNeed(), BesideReclaim(), BesideWarmTlbs(), BesideFailures()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace faultline
