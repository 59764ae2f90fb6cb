// SPDX-License-Identifier: Apache-2.0
//
// Readers of maps and smaps beside operations that change what they read, in the modes that take no
// lock over the whole (core/mm/vma_scan.h): VMA by VMA, and by copies. Memory that is mapped all
// the time is in every reading, without a gap; addresses go forward; a page that is resident all
// the time is counted. What else is seen may be old or new, once or twice.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/base/check.h"
#include "core/explore/fault_scenarios.h"
#include "core/mm/proc_smaps.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using World = FaultWorld;

/// Reads maps, a VMA at a time, and checks that they show `pages` pages from page `first` on.
template <ReadMode kMode, int64_t kFirst, uint64_t kPages>
void ReadsMaps(World& world) {
  VirtAddr covered = World::Address(kFirst);
  for (std::optional<VirtAddr> from = VirtAddr(0); from.has_value();) {
    const Result<MapsPage> page = ReadMaps(world.mm(), kMode, *from, 1);
    MM_CHECK(page.ok());
    for (const VmaRecord& vma : page->vmas) {
      MM_CHECK_GT(vma.range.end(), *from);
      if (vma.range.start() <= covered) covered = std::max(covered, vma.range.end());
    }
    from = page->next;
  }
  MM_CHECK_GE(covered, World::Address(kFirst + int64_t{kPages}));
}

/// Reads smaps and checks that what is resident from the first VMA on is in [kLeast, kMost] pages.
template <ReadMode kMode, uint64_t kLeast, uint64_t kMost>
void ReadsSmaps(World& world) {
  const Result<SmapsRollup> rollup = ReadSmapsRollup(world.mm(), kMode);
  MM_CHECK(rollup.ok());
  MM_CHECK_GE(rollup->residency.rss, kLeast * kPageSize);
  MM_CHECK_LE(rollup->residency.rss, kMost * kPageSize);
  MM_CHECK_EQ(rollup->residency.rss, rollup->residency.anonymous);
}

constexpr auto kPerVma = ReadMode::kPerVma;
constexpr auto kRcu = ReadMode::kRcu;

// -- Splits and merges ----------------------------------------------------------------------------

std::vector<FaultScenario> BesideSplits() {
  const auto set_up = [](World& world) { world.Map(0, 2); };
  const auto split = [](World& world) { world.Protect(0, 1, World::kReadOnly); };
  const auto merge_set_up = [](World& world) {
    world.Map(0, 1, World::kReadOnly);
    world.Map(1, 1);
  };
  const auto merge = [](World& world) { world.Protect(0, 1, World::kReadWrite); };
  const auto shift_set_up = [](World& world) {
    world.Map(0, 1);
    world.Map(1, 2, World::kReadOnly);
  };
  // The second VMA, once found at page 1, begins at page 2.
  const auto shift = [](World& world) { world.Protect(1, 1, World::kReadWrite); };
  return {
      {"maps_vs_split_per_vma",
       "maps read VMA by VMA beside a split of the VMA: no gap",
       set_up,
       {{"maps", ReadsMaps<kPerVma, 0, 2>}, {"mprotect", split}}},
      {"maps_vs_split_rcu",
       "maps read by copies beside a split of the VMA: no gap",
       set_up,
       {{"maps", ReadsMaps<kRcu, 0, 2>}, {"mprotect", split}}},
      {"maps_vs_merge_per_vma",
       "maps read VMA by VMA beside a merge of two: no gap",
       merge_set_up,
       {{"maps", ReadsMaps<kPerVma, 0, 2>}, {"mprotect", merge}}},
      {"maps_vs_merge_rcu",
       "maps read by copies beside a merge of two: no gap",
       merge_set_up,
       {{"maps", ReadsMaps<kRcu, 0, 2>}, {"mprotect", merge}}},
      {"maps_vs_shift_per_vma",
       "maps read VMA by VMA while a boundary moves: no gap",
       shift_set_up,
       {{"maps", ReadsMaps<kPerVma, 0, 3>}, {"mprotect", shift}}},
      {"maps_vs_shift_rcu",
       "maps read by copies while a boundary moves: no gap",
       shift_set_up,
       {{"maps", ReadsMaps<kRcu, 0, 3>}, {"mprotect", shift}}},
  };
}

// -- Neighbours that go, come and move ------------------------------------------------------------

std::vector<FaultScenario> BesideNeighbours() {
  const auto set_up = [](World& world) {
    world.Map(0, 1, World::kReadOnly);
    world.Map(1, 1);
  };
  const auto unmap = [](World& world) { world.Unmap(0, 1); };
  const auto replace = [](World& world) { world.Map(0, 1, World::kAll); };
  const auto move = [](World& world) { world.Move(0, 2, 1); };
  const auto recycle = [](World& world) {
    world.Unmap(0, 1);
    world.Map(3, 1);
  };
  return {
      {"maps_vs_munmap_neighbour_per_vma",
       "maps read VMA by VMA beside munmap of the VMA before: the other is seen",
       set_up,
       {{"maps", ReadsMaps<kPerVma, 1, 1>}, {"munmap", unmap}}},
      {"maps_vs_munmap_neighbour_rcu",
       "maps read by copies beside munmap of the VMA before: the other is seen",
       set_up,
       {{"maps", ReadsMaps<kRcu, 1, 1>}, {"munmap", unmap}}},
      {"maps_vs_replace_per_vma",
       "maps read VMA by VMA while the first is mapped over: no gap",
       set_up,
       {{"maps", ReadsMaps<kPerVma, 0, 2>}, {"replace", replace}}},
      {"maps_vs_replace_rcu",
       "maps read by copies while the first is mapped over: no gap",
       set_up,
       {{"maps", ReadsMaps<kRcu, 0, 2>}, {"replace", replace}}},
      {"maps_vs_mremap_per_vma",
       "maps read VMA by VMA beside a move over the other VMA: that is seen",
       set_up,
       {{"maps", ReadsMaps<kPerVma, 1, 1>}, {"mremap", move}}},
      {"maps_vs_mremap_rcu",
       "maps read by copies beside a move over the other VMA: that is seen",
       set_up,
       {{"maps", ReadsMaps<kRcu, 1, 1>}, {"mremap", move}}},
      {"maps_vs_recycle_rcu",
       "maps read by copies while a VMA's memory becomes another's",
       set_up,
       {{"maps", ReadsMaps<kRcu, 1, 1>}, {"recycle", recycle}}},
  };
}

std::vector<FaultScenario> BesideStacks() {
  const auto set_up = [](World& world) {
    world.Map(0, 1, World::kReadOnly);
    world.Map(3, 1, World::kReadWrite, abi::kMapGrowsDown);
  };
  const auto grow = [](World& world) { world.Write(1, 1); };
  return {
      {"maps_vs_stack_per_vma",
       "maps read VMA by VMA beside a stack that grows: both are seen",
       set_up,
       {{"maps", ReadsMaps<kPerVma, 3, 1>}, {"fault", grow}}},
      {"maps_vs_stack_rcu",
       "maps read by copies beside a stack that grows: both are seen",
       set_up,
       {{"maps", ReadsMaps<kRcu, 3, 1>}, {"fault", grow}}},
  };
}

// -- What is resident -----------------------------------------------------------------------------

std::vector<FaultScenario> BesideSmaps() {
  const auto set_up = [](World& world) {
    world.Map(511, 2);
    world.Write(511, 7);
    world.Write(512, 7);
  };
  const auto unmap = [](World& world) { world.Unmap(511, 1); };
  const auto dont_need = [](World& world) { world.DontNeed(511, 1); };
  const auto split = [](World& world) { world.Protect(511, 1, World::kReadOnly); };
  return {
      {"smaps_vs_munmap_per_vma",
       "smaps read table by table beside munmap of a page: the other counts",
       set_up,
       {{"smaps", ReadsSmaps<kPerVma, 1, 2>}, {"munmap", unmap}}},
      {"smaps_vs_munmap_rcu",
       "smaps read by copies beside munmap of a page: the other counts",
       set_up,
       {{"smaps", ReadsSmaps<kRcu, 1, 2>}, {"munmap", unmap}}},
      {"smaps_vs_dontneed_per_vma",
       "smaps read table by table beside DONTNEED of a page and its table",
       set_up,
       {{"smaps", ReadsSmaps<kPerVma, 1, 2>}, {"dontneed", dont_need}}},
      {"smaps_vs_dontneed_rcu",
       "smaps read by copies beside DONTNEED of a page and its table",
       set_up,
       {{"smaps", ReadsSmaps<kRcu, 1, 2>}, {"dontneed", dont_need}}},
      {"smaps_vs_split_per_vma",
       "smaps read table by table beside a split: both pages count",
       set_up,
       {{"smaps", ReadsSmaps<kPerVma, 2, 2>}, {"mprotect", split}}},
      {"smaps_vs_split_rcu",
       "smaps read by copies beside a split: both pages count",
       set_up,
       {{"smaps", ReadsSmaps<kRcu, 2, 2>}, {"mprotect", split}}},
  };
}

}  // namespace

std::vector<FaultScenario> FaultObserverScenarios() {
  std::vector<FaultScenario> all = BesideSplits();
  for (const auto& more : {BesideNeighbours(), BesideStacks(), BesideSmaps()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace faultline
