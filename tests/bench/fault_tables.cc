// SPDX-License-Identifier: Apache-2.0
//
// The tables of fault_bench without a mapper, and the aims; see fault_tables.h.
#include "tests/bench/fault_tables.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include <absl/strings/str_format.h>

#include "tests/bench/fault_cells.h"

namespace faultline::bench {
namespace {

/// Reads and writes no line that faults on other CPUs write: spf_* and rcu_*.
bool IsStoreFree(SchemeName scheme) {
  return scheme == SchemeName::kSpfMmSeq || scheme == SchemeName::kSpfVmaSeq ||
         scheme == SchemeName::kRcuRestart || scheme == SchemeName::kRcuContinue;
}

struct RateCell {
  PageContents contents;
  Layout layout;
  int threads;
  Who who;
  size_t id;
};

class RateTable {
 public:
  explicit RateTable(Lab& lab) : lab_(lab) {
    // Cells that are compared most closely are neighbours in time.
    for (const PageContents contents : kContents) {
      const bool kernel = lab.options().kernel && contents == PageContents::kBytes;
      for (const Layout layout : kLayouts) {
        for (const Who who : SchemesAndKernel(lab.options(), kernel)) {
          for (const int threads : lab.options().threads) Add(contents, layout, threads, who);
        }
      }
    }
  }

  void Measure() { rounds_.Run(lab_.options().rounds, "faults"); }

  void Print(Report& report) const {
    report.Begin("faults",
                 "Anonymous write faults, threads in one VMA or in their own. ns: of a thread, per "
                 "fault; M/s: of all threads; ratios: of M/s",
                 {{"contents", "pages", -5},
                  {"vmas", "VMAs", -4},
                  {"threads", "threads", 7},
                  {"scheme", "scheme", -12},
                  {"ns", "ns", 8},
                  {"ns_range", "min - max", 17},
                  {"m_faults_per_s", "M/s", 7},
                  {"of_one_thread", "of 1 thr", 8},
                  {"of_one_thread_range", "min - max", 12},
                  {"of_mmap_lock", "of mmap_lock", 12},
                  {"of_mmap_lock_range", "min - max", 12}});
    for (const PageContents contents : kContents) {
      for (const Layout layout : kLayouts) {
        for (const int threads : lab_.options().threads) {
          for (const RateCell& cell : cells_) {
            if (cell.contents == contents && cell.layout == layout && cell.threads == threads) {
              PrintRow(cell, report);
            }
          }
        }
      }
    }
    if (lab_.options().kernel) NoteKernel(report);
    NoteWindows("faults", rounds_.tally(), lab_.options().rounds, report);
  }

  void AddAims(std::vector<Aim>& aims) const {
    for (const PageContents contents : kContents) {
      for (const RateCell& cell : cells_) {
        if (cell.contents == contents) AddCostAim(cell, aims);
      }
    }
    for (const RateCell& cell : cells_) AddScalingAim(cell, aims);
  }

 private:
  static constexpr std::array kContents{PageContents::kTag, PageContents::kBytes};
  static constexpr std::array kLayouts{Layout::kOneVma, Layout::kOwnVmas};

  void Add(PageContents contents, Layout layout, int threads, Who who) {
    const size_t id = AddWindow(rounds_, lab_, who.WorldIn(lab_, contents),
                                {.threads = threads, .layout = layout});
    cells_.push_back({contents, layout, threads, who, id});
  }

  /// The cell like `cell` but for threads or scheme.
  [[nodiscard]] const RateCell* Like(const RateCell& cell, int threads,
                                     std::optional<size_t> scheme) const {
    const auto found = std::find_if(cells_.begin(), cells_.end(), [&](const RateCell& other) {
      return other.contents == cell.contents && other.layout == cell.layout &&
             other.threads == threads && other.who.scheme == scheme;
    });
    return found == cells_.end() ? nullptr : &*found;
  }

  [[nodiscard]] std::optional<Spread> RateBy(const RateCell& cell, const RateCell* by) const {
    if (by == nullptr) return std::nullopt;
    return rounds_.Ratio(cell.id, by->id, &Window::FaultsPerSecond);
  }
  [[nodiscard]] std::optional<Spread> ByOneThread(const RateCell& cell) const {
    return RateBy(cell, Like(cell, 1, cell.who.scheme));
  }
  [[nodiscard]] std::optional<Spread> ByMmapLock(const RateCell& cell) const {
    const std::optional<size_t> mmap_lock = IndexOf(lab_.options(), SchemeName::kMmapLock);
    if (!mmap_lock || !cell.who.scheme) return std::nullopt;
    return RateBy(cell, Like(cell, cell.threads, mmap_lock));
  }

  void PrintRow(const RateCell& cell, Report& report) const {
    const Spread ns = rounds_.Of(cell.id, &Window::NsPerFault);
    const std::optional<Spread> scaling = ByOneThread(cell);
    const std::optional<Spread> by_mmap_lock = ByMmapLock(cell);
    report.Row({Text(cell.contents == PageContents::kTag ? "tag" : "bytes"),
                Text(cell.layout == Layout::kOneVma ? "one" : "own"), Number(cell.threads),
                Text(cell.who.NameIn(lab_.options())), Number(ns.median, 1), Range(ns, 1),
                Number(rounds_.Of(cell.id, &Window::FaultsPerSecond).median / 1e6, 2),
                Number(MedianOf(scaling), 2), Range(scaling, 2), Number(MedianOf(by_mmap_lock), 2),
                Range(by_mmap_lock, 2)});
  }

  void AddCostAim(const RateCell& cell, std::vector<Aim>& aims) const {
    if (!cell.who.scheme || cell.threads != 1 || cell.layout != Layout::kOneVma) return;
    const SchemeName scheme = *cell.who.SchemeIn(lab_.options());
    if (!IsStoreFree(scheme)) return;
    const bool tag = cell.contents == PageContents::kTag;
    aims.push_back(
        {absl::StrFormat("%s, %s, 1 thread: ns per fault", Name(scheme), tag ? "tag" : "bytes"),
         rounds_.Of(cell.id, &Window::NsPerFault).median, Aim::Sense::kAtMost, tag ? 80.0 : 480.0});
  }

  /// In `tag`: with `bytes`, zeroing hides what schemes cost.
  void AddScalingAim(const RateCell& cell, std::vector<Aim>& aims) const {
    if (!cell.who.scheme || cell.threads != 2 || cell.contents != PageContents::kTag) return;
    const SchemeName scheme = *cell.who.SchemeIn(lab_.options());
    const bool own = cell.layout == Layout::kOwnVmas;
    const bool expected = own ? scheme != SchemeName::kMmapLock : IsStoreFree(scheme);
    const std::optional<Spread> scaling = ByOneThread(cell);
    if (!expected || !scaling) return;
    aims.push_back({absl::StrFormat("%s, %s, tag: rate of 2 threads by 1", Name(scheme),
                                    own ? "own VMAs" : "one VMA"),
                    scaling->median, Aim::Sense::kAtLeast, own ? 1.8 : 1.3});
  }

  Lab& lab_;
  Rounds<Window> rounds_;
  std::vector<RateCell> cells_;
};

}  // namespace

void PrintRates(Lab& lab, Report& report, std::vector<Aim>& aims) {
  RateTable table(lab);
  table.Measure();
  table.Print(report);
  table.AddAims(aims);
}

// -- Aims -----------------------------------------------------------------------------------------

void PrintAims(const std::vector<Aim>& aims, Report& report) {
  if (aims.empty()) return;
  report.Begin("aims", "Aims (of the project; text, not a test)",
               {{"what", "what", -52},
                {"figure", "figure", 8},
                {"sense", "aim", -8},
                {"aim", "", 7},
                {"verdict", "", -6}});
  for (const Aim& aim : aims) {
    const bool at_most = aim.sense == Aim::Sense::kAtMost;
    const bool met = at_most ? aim.figure <= aim.aim : aim.figure >= aim.aim;
    report.Row({Text(aim.what), Number(aim.figure, 2), Text(at_most ? "at most" : "at least"),
                Number(aim.aim, 2), Text(met ? "met" : "missed")});
  }
}

}  // namespace faultline::bench
