// SPDX-License-Identifier: Apache-2.0
//
// fault_bench --policies: what each way to allocate page tables costs, by how densely memory is
// touched and how much of it is free; see PrintPolicies in fault_tables.h. One thread, pages with
// content `tag`.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/strings/str_format.h>

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
constexpr uint64_t kMostSparseTouches = 2048;
constexpr size_t kPolicies = static_cast<size_t>(TableAlloc::kCount);

/// A machine with so much free memory, with an mm for each policy that the scheme allows.
class Bank {
 public:
  Bank(FreeMemory free, const FaultBenchOptions& options, const FaultOptions& scheme) {
    const uint64_t pages = std::max(options.touches, 4 * kMostSparseTouches);
    const auto machine_options = WithWatermarks(MachineFor(pages, PageContents::kTag), free);
    if (!machine_options) return;
    machine_ = NewMachine(*machine_options);
    for (size_t i = 0; i < kPolicies; ++i) {
      FaultOptions with_policy = scheme;
      with_policy.pgtable_alloc = static_cast<TableAlloc>(i);
      // The one policy that needs it, and pays for it.
      with_policy.depth_known = with_policy.pgtable_alloc == TableAlloc::kRcuImpliesNowait;
      if (!IsAllowed(with_policy)) continue;
      mms_[i] = std::make_unique<OwnMm>(*machine_, with_policy, options.page_table_levels);
    }
    pressure_.emplace(*machine_, free);
  }

  /// Null if there is no such mm.
  [[nodiscard]] OwnMm* Of(size_t policy) const { return mms_[policy].get(); }

 private:
  std::unique_ptr<Machine> machine_;
  std::optional<Pressure> pressure_;
  std::array<std::unique_ptr<OwnMm>, kPolicies> mms_;
};

class PolicyTable {
 public:
  PolicyTable(const FaultBenchOptions& options, const FaultOptions& scheme)
      : options_(options), scheme_(scheme), crew_(1) {
    for (const FreeMemory free : kAllFreeMemory) {
      banks_.push_back(std::make_unique<Bank>(free, options, scheme));
      for (const Density& density : kDensities) AddGroup(*banks_.back(), free, density);
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
                  {"oom_per_1000", "oom", 7}});
    for (const Group& group : groups_) PrintGroup(group, report);
    report.Note("-: not counted, no such machine yet, or refused under this scheme");
    NoteWindows("policies", rounds_, options_.rounds, report);
  }

 private:
  struct Group {
    FreeMemory free;
    Density density;
    std::array<std::optional<size_t>, kPolicies> ids;
  };

  void AddGroup(const Bank& bank, FreeMemory free, const Density& density) {
    const bool sparse = density.stride != kPageSize;
    const WindowSpec spec{
        .touches = sparse ? std::min(options_.touches, kMostSparseTouches) : options_.touches,
        .stride = density.stride,
        .settle = sparse,  // as many tables as pages wait for RCU
        .seconds = options_.rounds.window_seconds};
    Group group{free, density, {}};
    for (size_t i = 0; i < kPolicies; ++i) {
      OwnMm* const mm = bank.Of(i);
      if (mm == nullptr) continue;
      group.ids[i] =
          rounds_.Add([this, mm, spec] { return RunFaultWindow(crew_, mm->world(), spec); });
    }
    groups_.push_back(group);
  }

  void PrintGroup(const Group& group, Report& report) const {
    const auto first = std::find_if(group.ids.begin(), group.ids.end(),
                                    [](const auto& id) { return id.has_value(); });
    for (size_t i = 0; i < kPolicies; ++i) {
      std::vector<Value> row{Text(std::string(Name(group.free))), Text(group.density.name),
                             Text(std::string(faultline::Name(static_cast<TableAlloc>(i))))};
      if (group.ids[i]) {
        AppendFigures(*group.ids[i], **first, row);
      } else {
        constexpr size_t kFigures = 10;
        row.insert(row.end(), kFigures, NoFigure());
      }
      report.Row(row);
    }
  }

  void AppendFigures(size_t id, size_t first, std::vector<Value>& row) const {
    const Spread ns = rounds_.Of(id, &Window::NsPerFault);
    const Spread by_first = rounds_.Ratio(id, first, &Window::NsPerFault);
    const Window sum = rounds_.Sum(id);
    row.insert(row.end(), {Number(ns.median, 1), Range(ns, 1), Number(by_first.median, 2),
                           Range(by_first, 2)});
    for (const FaultCount count :
         {FaultCount::kTablesAllocated, FaultCount::kTablesThrownAway, FaultCount::kTableFailures,
          FaultCount::kRetries, FaultCount::kReclaimEntries}) {
      row.push_back(Number(Per(1000, sum, count), 2));
    }
    row.push_back(
        Number(1000.0 * static_cast<double>(sum.failed) / static_cast<double>(sum.faults), 2));
  }

  const FaultBenchOptions& options_;
  const FaultOptions scheme_;
  Crew crew_;
  std::vector<std::unique_ptr<Bank>> banks_;
  Rounds rounds_;
  std::vector<Group> groups_;
};

}  // namespace

void PrintPolicies(const FaultBenchOptions& options, const FaultOptions& scheme, Report& report) {
  PolicyTable table(options, scheme);
  table.Measure();
  table.Print(report);
}

}  // namespace faultline::bench
