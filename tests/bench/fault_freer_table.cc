// SPDX-License-Identifier: Apache-2.0
//
// fault_bench --policies, second part: faults beside a task that frees at a rate (BEHAVIOURS E13,
// seed 004: "a task in this path can take advantage of that other task's hard work and never go
// into reclaim"); see PrintFreer in fault_tables.h. One thread faults, sparsely, so that it needs a
// table for each page; memory is at the min mark when a phase begins.
//
// The rate alone says little, since a faster machine needs more of it. Hence it is also given as a
// share of the frames that the faults took, a median like the rest. Faults that get nothing, even
// from reclaim, end as oom.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <absl/strings/str_format.h>

#include "tests/bench/fault_bank.h"
#include "tests/bench/fault_cells.h"
#include "tests/bench/fault_tables.h"

namespace faultline::bench {
namespace {

constexpr std::array kFramesPerMs{0, 64, 256, 1024, 2048, 4096, 8192, 16384};

class FreerTable {
 public:
  FreerTable(const FaultBenchOptions& options, const FaultOptions& scheme)
      : options_(options), scheme_(scheme), crew_(1), bank_(FreeMemory::kAtMin, options, scheme) {
    AddRows(TableAlloc::kNowaitReclaimRetry);
    // Where nothing may sleep in the scheme's own rung, it is the rung below that reclaims.
    AddRows(bank_.Has(TableAlloc::kEager) ? TableAlloc::kEager : TableAlloc::kGfpArgument);
  }

  void Measure() { rounds_.Run(options_.rounds, "freer"); }

  void Print(Report& report) const {
    report.Begin(
        "freer",
        absl::StrFormat("Beside a task that frees, under %s, from the min mark on, one "
                        "thread (tag), 1 per 2 MiB. rate: frames freed per ms; of taken: "
                        "by frames that faults took; no reclaim: faults that never entered "
                        "it, in %%; counts per 1000 faults. All but ns with a clock",
                        Name(scheme_.scheme)),
        {{"policy", "policy", -20},
         {"rate", "rate", 6},
         {"freed_by_taken", "of taken", 8},
         {"ns", "ns", 8},
         {"ns_range", "min - max", 17},
         {"no_reclaim_percent", "no reclaim", 10},
         {"no_reclaim_range", "min - max", 15},
         {"reclaims_per_1000", "reclaims", 8},
         {"retries_per_1000", "retries", 8},
         {"failures_per_1000", "failures", 8},
         {"oom_per_1000", "oom", 7}});
    for (const RowCells& row : rows_) PrintRow(row, report);
    NoteWindows("freer", rounds_.tally(), options_.rounds, report);
  }

 private:
  struct RowCells {
    TableAlloc policy;
    int per_ms;
    size_t cost;
    size_t each;  ///< looks at each fault
  };

  void AddRows(TableAlloc policy) {
    for (const int per_ms : kFramesPerMs) {
      const size_t cost = AddCell(policy, per_ms, /*each=*/false);
      rows_.push_back({policy, per_ms, cost, AddCell(policy, per_ms, /*each=*/true)});
    }
  }

  size_t AddCell(TableAlloc policy, int per_ms, bool each) {
    const WindowSpec spec{.touches = std::min(options_.touches, Bank::kMostSparseTouches),
                          .stride = kPmdSize,
                          .settle = true,
                          .each = each,
                          .seconds = options_.rounds.window_seconds / 2};
    return rounds_.Add([this, policy, per_ms, spec] {
      return bank_.Run(crew_, static_cast<size_t>(policy), spec,
                       FreerAtRate{freer_, static_cast<double>(per_ms)});
    });
  }

  void PrintRow(const RowCells& cells, Report& report) const {
    const Spread ns = rounds_.Of(cells.cost, &Window::NsPerFault);
    const Spread unreclaimed = rounds_.Of(cells.each, &Window::PercentUnreclaimed);
    const Window sum = SumOf(rounds_.windows(cells.each));
    report.Row(
        {Text(std::string(faultline::Name(cells.policy))), Number(cells.per_ms),
         Number(rounds_.Of(cells.each, &Window::FreedByTaken).median, 3), Number(ns.median, 1),
         Range(ns, 1), Number(unreclaimed.median, 2), Range(unreclaimed, 2),
         Number(Per(1000, sum, FaultCount::kReclaimEntries), 2),
         Number(Per(1000, sum, FaultCount::kRetries), 2),
         Number(Per(1000, sum, FaultCount::kTableFailures), 2),
         Number(1000.0 * static_cast<double>(sum.failed) / static_cast<double>(sum.faults), 2)});
  }

  const FaultBenchOptions& options_;
  const FaultOptions scheme_;
  Crew crew_;
  Bank bank_;
  Freer freer_;  // ends before what it frees
  Rounds<Window> rounds_;
  std::vector<RowCells> rows_;
};

}  // namespace

void PrintFreer(const FaultBenchOptions& options, const FaultOptions& scheme, Report& report) {
  FreerTable table(options, scheme);
  table.Measure();
  table.Print(report);
}

}  // namespace faultline::bench
