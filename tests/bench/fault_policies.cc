// SPDX-License-Identifier: Apache-2.0
//
// fault_bench --policies: what each way to allocate page tables costs, by how densely memory is
// touched and how much of it is free; see PrintPolicies in fault_tables.h. One thread, pages with
// content `tag`. The 99th percentile comes from shorter windows of its own, since a clock around
// each fault would be in the other figure.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/strings/str_format.h>

#include "tests/bench/fault_bank.h"
#include "tests/bench/fault_cells.h"
#include "tests/bench/fault_tables.h"

namespace faultline::bench {
namespace {

struct Density {
  const char* name;
  uint64_t stride;
};
constexpr std::array kDensities{Density{"each page", kPageSize}, Density{"1 per 2 MiB", kPmdSize},
                                Density{"1 per 1 GiB", 1ull << 30}};

class PolicyTable {
 public:
  PolicyTable(const FaultBenchOptions& options, const FaultOptions& scheme)
      : options_(options), scheme_(scheme), crew_(1) {
    for (const FreeMemory free : kPolicyMemory) {
      banks_.push_back(std::make_unique<Bank>(free, options, scheme));
      for (const Density& density : kDensities) AddGroup(*banks_.back(), density);
    }
  }

  void Measure() { rounds_.Run(options_.rounds, "policies"); }

  void Print(Report& report) const {
    report.Begin("policies",
                 absl::StrFormat("Allocation of page tables under %s, one thread (tag). Counts are "
                                 "per 1000 faults; unused: tables thrown away; failures: tables "
                                 "not to be had; oom: faults that ended so",
                                 Name(scheme_.scheme)),
                 {{"memory", "memory", -11},
                  {"touches", "touches", -11},
                  {"policy", "policy", -20},
                  {"ns", "ns", 8},
                  {"ns_range", "min - max", 17},
                  {"time_of_first", "of first", 8},
                  {"time_of_first_range", "min - max", 12},
                  {"tables_per_1000", "tables", 8},
                  {"unused_per_1000", "unused", 8},
                  {"failures_per_1000", "failures", 8},
                  {"retries_per_1000", "retries", 8},
                  {"reclaims_per_1000", "reclaims", 8},
                  {"wakes_per_1000", "wakes", 8},
                  {"oom_per_1000", "oom", 7},
                  {"p99_ns", "p99 ns", 8},
                  {"p99_range", "min - max", 15}});
    for (const Group& group : groups_) PrintGroup(group, report);
    report.Note("-: refused under this scheme");
    NoteWindows("policies", rounds_.tally(), options_.rounds, report);
  }

  /// Who got what was asked for, by memory, and whether all did above the low mark (E11).
  void PrintSuccess(Report& report) const {
    report.Begin("success",
                 "Of the faults above, all policies and touches: ended with a page, and tables had "
                 "at the first ask, in %",
                 {{"memory", "memory", -11},
                  {"faults", "faults", 10},
                  {"ended_well_percent", "well", 8},
                  {"tables_asked", "asks", 10},
                  {"tables_had_percent", "had", 8}});
    bool all_above_low = true;
    for (const FreeMemory free : kPolicyMemory) {
      const Success sum = SuccessAt(free);
      if (free == FreeMemory::kPlenty) all_above_low = sum.refused == 0 && sum.failed == 0;
      report.Row({Text(std::string(Name(free))), Number(static_cast<double>(sum.faults), 0),
                  Number(PercentLess(sum.failed, sum.faults), 3),
                  Number(static_cast<double>(sum.asks), 0),
                  Number(PercentLess(sum.refused, sum.asks), 3)});
    }
    report.Note(all_above_low ? "Above the low mark all of them succeeded: yes"
                              : "Above the low mark all of them succeeded: NO",
                {{"table", "success_above_low"},
                 {"scheme", std::string(Name(scheme_.scheme))},
                 {"all", all_above_low}});
  }

 private:
  /// A policy's cells.
  struct Cells {
    size_t cost;
    size_t each;  ///< looks at each fault
  };
  struct Group {
    FreeMemory free;
    Density density;
    std::array<std::optional<Cells>, kPolicies> cells;
  };
  struct Success {
    uint64_t faults = 0;
    uint64_t failed = 0;  ///< of `faults`
    uint64_t asks = 0;
    uint64_t refused = 0;  ///< of `asks`
  };

  void AddGroup(Bank& bank, const Density& density) {
    const bool sparse = density.stride != kPageSize;
    WindowSpec spec{
        .touches = sparse ? std::min(options_.touches, Bank::kMostSparseTouches) : options_.touches,
        .stride = density.stride,
        .settle = true,
        .seconds = options_.rounds.window_seconds};
    Group group{bank.free(), density, {}};
    const auto add = [&](size_t policy) {
      return rounds_.Add([this, &bank, policy, spec] { return bank.Run(crew_, policy, spec); });
    };
    for (size_t i = 0; i < kPolicies; ++i) {
      if (bank.Has(i)) group.cells[i] = {.cost = add(i), .each = 0};
    }
    spec.each = true;
    spec.seconds /= 4;
    for (size_t i = 0; i < kPolicies; ++i) {
      if (bank.Has(i)) group.cells[i]->each = add(i);
    }
    groups_.push_back(group);
  }

  [[nodiscard]] Success SuccessAt(FreeMemory free) const {
    Success sum;
    for (const Group& group : groups_) {
      if (group.free != free) continue;
      for (const auto& cells : group.cells) {
        if (!cells) continue;
        const Window window = SumOf(rounds_.windows(cells->cost));
        const uint64_t refused = Of(window.counts, FaultCount::kTableFailures).value_or(0);
        sum.faults += window.faults;
        sum.failed += window.failed;
        sum.refused += refused;
        sum.asks += Of(window.counts, FaultCount::kTablesAllocated).value_or(0) + refused;
      }
    }
    return sum;
  }
  static double PercentLess(uint64_t part, uint64_t all) {
    return all == 0 ? 100.0 : 100.0 - 100.0 * static_cast<double>(part) / static_cast<double>(all);
  }

  void PrintGroup(const Group& group, Report& report) const {
    const auto first = std::find_if(group.cells.begin(), group.cells.end(),
                                    [](const auto& cells) { return cells.has_value(); });
    for (size_t i = 0; i < kPolicies; ++i) {
      std::vector<Value> row{Text(std::string(Name(group.free))), Text(group.density.name),
                             Text(std::string(faultline::Name(static_cast<TableAlloc>(i))))};
      if (group.cells[i]) {
        AppendFigures(*group.cells[i], (*first)->cost, row);
      } else {
        constexpr size_t kFigures = 13;
        row.insert(row.end(), kFigures, NoFigure());
      }
      report.Row(row);
    }
  }

  void AppendFigures(const Cells& cells, size_t first, std::vector<Value>& row) const {
    const Spread ns = rounds_.Of(cells.cost, &Window::NsPerFault);
    const Spread by_first = rounds_.Ratio(cells.cost, first, &Window::NsPerFault);
    const Window sum = SumOf(rounds_.windows(cells.cost));
    row.insert(row.end(), {Number(ns.median, 1), Range(ns, 1), Number(by_first.median, 2),
                           Range(by_first, 2)});
    for (const FaultCount count :
         {FaultCount::kTablesAllocated, FaultCount::kTablesThrownAway, FaultCount::kTableFailures,
          FaultCount::kRetries, FaultCount::kReclaimEntries, FaultCount::kKswapdWakes}) {
      row.push_back(Number(Per(1000, sum, count), 2));
    }
    row.push_back(
        Number(1000.0 * static_cast<double>(sum.failed) / static_cast<double>(sum.faults), 2));
    const Spread p99 = rounds_.Of(cells.each, &Window::P99Ns);
    row.insert(row.end(), {Number(p99.median, 0), Range(p99, 0)});
  }

  const FaultBenchOptions& options_;
  const FaultOptions scheme_;
  Crew crew_;
  std::vector<std::unique_ptr<Bank>> banks_;
  Rounds<Window> rounds_;
  std::vector<Group> groups_;
};

}  // namespace

void PrintPolicies(const FaultBenchOptions& options, const FaultOptions& scheme, Report& report) {
  PolicyTable table(options, scheme);
  table.Measure();
  table.Print(report);
  table.PrintSuccess(report);
}

}  // namespace faultline::bench
