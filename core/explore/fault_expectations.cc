// SPDX-License-Identifier: Apache-2.0
//
// The table of fault_expectations.h; besides those of the fault path, mutants of what lies below
// that show through it. A row says: this scenario finds this mutant under each of these schemes,
// with the scheme's default policies or, where the bug is one of a policy, with that policy and
// defaults for the rest. Schemes that a mutant cannot break are left out: a fault that holds
// mmap_lock, say, does not care what munmap skips.
//
// Invariant, tested: every row is found, and every mutant with code has a row.
#include "core/explore/fault_expectations.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using enum SchemeName;
using Schemes = std::span<const SchemeName>;

constexpr std::array kRwsemOnly = {kVmaRwsem};
constexpr std::array kRefcntAndRcu = {kVmaRefcnt, kRcuRestart, kRcuContinue};
constexpr std::array kRcuOnly = {kRcuRestart, kRcuContinue};
constexpr std::array kVmaLocks = {kVmaRwsem, kVmaLock, kVmaRefcnt};
constexpr std::array kSpf = {kSpfMmSeq, kSpfVmaSeq};
constexpr std::array kAllButSpf = {kMmapLock,  kVmaRwsem,   kVmaLock,
                                   kVmaRefcnt, kRcuRestart, kRcuContinue};
constexpr std::array kLockFree = {kSpfMmSeq, kSpfVmaSeq, kRcuRestart, kRcuContinue};
constexpr std::array kPerVma = {kVmaRwsem,  kVmaLock,    kVmaRefcnt,
                                kSpfVmaSeq, kRcuRestart, kRcuContinue};
constexpr std::array kVmaLocksAndRcu = {kVmaRwsem, kVmaLock, kVmaRefcnt, kRcuRestart, kRcuContinue};
constexpr std::array kEvery = {kMmapLock, kVmaRwsem,  kVmaLock,    kVmaRefcnt,
                               kSpfMmSeq, kSpfVmaSeq, kRcuRestart, kRcuContinue};

struct Row {
  Mutant mutant;
  std::string_view scenario;
  Schemes schemes;
  std::optional<TableAlloc> alloc = std::nullopt;  ///< none: the scheme's own
};

// A lock-free fault refuses a VMA without anon_vma, and spf_* one whose upper tables are missing:
// where such a fault has to get far, the scenario has what it needs.
const std::array kRows = {
    Row{Mutant::kFreeWithoutGracePeriod, "fault_vs_dontneed_table", kEvery},
    Row{Mutant::kM1, "fault_vs_munmap_upper", kRcuOnly},
    Row{Mutant::kM1, "read_vs_munmap_upper", kRcuOnly},
    Row{Mutant::kM3, "store_vs_fork_copy", kPerVma},
    Row{Mutant::kM4, "recycled_vma_vs_exit", kRefcntAndRcu},
    Row{Mutant::kM5, "fault_vs_recycle", kRefcntAndRcu},
    Row{Mutant::kM5, "maps_vs_shift_per_vma", kRefcntAndRcu},
    Row{Mutant::kM6, "fault_vs_replace_cold", kRefcntAndRcu},
    Row{Mutant::kM7, "stack_vs_fault_warm", kLockFree},
    Row{Mutant::kM8, "fault_vs_munmap_cold", kRcuOnly},
    Row{Mutant::kM9, "fault_vs_munmap_cold", kEvery, TableAlloc::kPreallocAll},
    Row{Mutant::kM9, "fault_vs_munmap_cold", kAllButSpf, TableAlloc::kPreallocMissing},
    Row{Mutant::kM9, "fault_vs_munmap_pte_table", kSpf, TableAlloc::kPreallocMissing},
    Row{Mutant::kM10, "fault_vs_fault_first", kVmaLocksAndRcu},
    Row{Mutant::kM13, "stack_vs_munmap_table", kVmaLocks},
    Row{Mutant::kM14, "fault_vs_mmap_merge", kVmaLocksAndRcu},
    Row{Mutant::kM15, "store_vs_munmap_warm", kEvery},
    Row{Mutant::kM15, "store_vs_dontneed_warm", kEvery},
    Row{Mutant::kM17, "fault_vs_munmap_pte_kept", kLockFree},
    Row{Mutant::kM18, "reclaim_vs_munmap", kEvery},
    Row{Mutant::kM19, "fault_vs_munmap_warm", kRwsemOnly},
    Row{Mutant::kM22, "cow_vs_store_load", kEvery},
    Row{Mutant::kM23, "fault_vs_replace_cold", kRefcntAndRcu},
    Row{Mutant::kMapsForgetRange, "maps_vs_shift_rcu", kEvery},
};

FaultOptions ConfigurationOf(const Row& row, SchemeName scheme) {
  FaultOptions options = DefaultsOf(scheme);
  if (row.alloc.has_value()) options.pgtable_alloc = *row.alloc;
  MM_CHECK(IsAllowed(options));
  return options;
}

}  // namespace

std::vector<Expectation> FaultExpectationsOf(std::string_view scenario) {
  std::vector<Expectation> all;
  for (const Row& row : kRows) {
    if (row.scenario != scenario) continue;
    const auto has_mutant = [&](const Expectation& known) { return known.mutant == row.mutant; };
    auto expectation = std::find_if(all.begin(), all.end(), has_mutant);
    if (expectation == all.end()) expectation = all.insert(all.end(), {row.mutant, {}});
    for (const SchemeName scheme : row.schemes) {
      expectation->configurations.push_back(ConfigurationOf(row, scheme));
    }
  }
  return all;
}

std::vector<std::string_view> ScenariosWithExpectations() {
  std::vector<std::string_view> scenarios;
  scenarios.reserve(kRows.size());
  for (const Row& row : kRows) scenarios.push_back(row.scenario);
  return scenarios;
}

}  // namespace faultline
