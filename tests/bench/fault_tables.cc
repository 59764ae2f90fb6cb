// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_tables.h but for PrintPolicies (fault_policies.cc).
#include "tests/bench/fault_tables.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include <absl/strings/str_format.h>

namespace faultline::bench {
namespace {

constexpr const char* kKernel = "(kernel)";
constexpr const char* kKernelNote =
    "(kernel): context, no competitor: it also takes a trap, TLB misses and interrupts between "
    "processors";

/// Reads and writes no line that faults on other CPUs write: spf_* and rcu_*.
bool IsStoreFree(SchemeName scheme) {
  return scheme == SchemeName::kSpfMmSeq || scheme == SchemeName::kSpfVmaSeq ||
         scheme == SchemeName::kRcuRestart || scheme == SchemeName::kRcuContinue;
}

std::optional<size_t> IndexOf(const FaultBenchOptions& options, SchemeName name) {
  for (size_t i = 0; i < options.schemes.size(); ++i) {
    if (options.schemes[i].scheme == name) return i;
  }
  return std::nullopt;
}

/// Some cell of a table: of a scheme, or the kernel's.
struct Who {
  std::optional<size_t> scheme;

  [[nodiscard]] std::string NameIn(const FaultBenchOptions& options) const {
    return scheme ? std::string(Name(options.schemes[*scheme].scheme)) : kKernel;
  }
  [[nodiscard]] World& WorldIn(Lab& lab, PageContents contents) const {
    return scheme ? lab.Of(*scheme, contents) : lab.kernel();
  }
};

std::vector<Who> SchemesAndKernel(const FaultBenchOptions& options, bool kernel) {
  std::vector<Who> all;
  for (size_t i = 0; i < options.schemes.size(); ++i) all.push_back({i});
  if (kernel) all.push_back({std::nullopt});
  return all;
}

size_t AddWindow(Rounds& rounds, Lab& lab, World& world, WindowSpec spec) {
  spec.touches = lab.options().touches;
  spec.seconds = lab.options().rounds.window_seconds;
  return rounds.Add([&lab, &world, spec] {
    const Window window = RunFaultWindow(lab.crew(), world, spec);
    if (window.failed != 0) {
      absl::FPrintF(stderr, "fault_bench: %d faults of a window ended with a signal\n",
                    window.failed);
      std::exit(1);
    }
    return window;
  });
}

}  // namespace

void NoteWindows(const Rounds& rounds, const RoundOptions& options, Report& report) {
  const WindowTally& tally = rounds.tally();
  report.Note(absl::StrFormat(
      "%d windows of %.3g s kept, %d of each row; %d measured again because others used more than "
      "%.2f core; %d kept in spite of that",
      tally.kept, options.window_seconds, options.rounds, tally.redone, options.foreign_cores,
      tally.dirty));
}

std::optional<double> Per(double per, const Window& window, FaultCount count) {
  const std::optional<uint64_t> counted = Of(window.counts, count);
  if (!counted) return std::nullopt;
  return per * static_cast<double>(*counted) / static_cast<double>(window.faults);
}

// -- Rates ----------------------------------------------------------------------------------------

namespace {

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
    if (lab_.options().kernel) report.Note(kKernelNote);
    NoteWindows(rounds_, lab_.options().rounds, report);
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
    const SchemeName scheme = lab_.options().schemes[*cell.who.scheme].scheme;
    if (!IsStoreFree(scheme)) return;
    const bool tag = cell.contents == PageContents::kTag;
    aims.push_back(
        {absl::StrFormat("%s, %s, 1 thread: ns per fault", Name(scheme), tag ? "tag" : "bytes"),
         rounds_.Of(cell.id, &Window::NsPerFault).median, Aim::Sense::kAtMost, tag ? 80.0 : 480.0});
  }

  /// In `tag`: with `bytes`, zeroing hides what schemes cost.
  void AddScalingAim(const RateCell& cell, std::vector<Aim>& aims) const {
    if (!cell.who.scheme || cell.threads != 2 || cell.contents != PageContents::kTag) return;
    const SchemeName scheme = lab_.options().schemes[*cell.who.scheme].scheme;
    const bool own = cell.layout == Layout::kOwnVmas;
    const bool expected = own ? scheme != SchemeName::kMmapLock : IsStoreFree(scheme);
    const std::optional<Spread> scaling = ByOneThread(cell);
    if (!expected || !scaling) return;
    aims.push_back({absl::StrFormat("%s, %s, tag: rate of 2 threads by 1", Name(scheme),
                                    own ? "own VMAs" : "one VMA"),
                    scaling->median, Aim::Sense::kAtLeast, own ? 1.8 : 1.3});
  }

  Lab& lab_;
  Rounds rounds_;
  std::vector<RateCell> cells_;
};

}  // namespace

void PrintRates(Lab& lab, Report& report, std::vector<Aim>& aims) {
  RateTable table(lab);
  table.Measure();
  table.Print(report);
  table.AddAims(aims);
}

// -- Beside a mapper ------------------------------------------------------------------------------

namespace {

std::string_view Name(Neighbour neighbour) {
  switch (neighbour) {
    case Neighbour::kNone:
      return "nobody";
    case Neighbour::kSpins:
      return "spins";
    case Neighbour::kFarMapper:
      return "maps far away";
    case Neighbour::kMergingMapper:
      return "maps and merges";
  }
  return "?";
}

Value LeftTopRung(const Rounds& rounds, size_t cell) {
  return Number(Per(100, rounds.Sum(cell), FaultCount::kLeftTopRung), 2);
}

Value KiloMapperOps(const Rounds& rounds, size_t cell) {
  return Number(rounds.Of(cell, &Window::MapperOpsPerSecond).median / 1e3, 1);
}

class MapperTable {
 public:
  explicit MapperTable(Lab& lab) : lab_(lab) {
    for (const Who who : SchemesAndKernel(lab.options(), lab.options().kernel)) {
      Group group{who, {}};
      for (size_t i = 0; i < kNeighbours.size(); ++i) {
        World& world = who.WorldIn(lab, PageContents::kTag);
        group.ids[i] = AddWindow(rounds_, lab, world, {.neighbour = kNeighbours[i]});
      }
      groups_.push_back(group);
    }
  }

  void Measure() { rounds_.Run(lab_.options().rounds, "beside a mapper"); }

  void Print(Report& report) const {
    report.Begin("beside_mapper",
                 "One thread's faults (tag) beside another that spins, or maps and unmaps 64 KiB; "
                 "ratio: of M/s; left: faults in 100 that left the first rung",
                 {{"scheme", "scheme", -12},
                  {"neighbour", "neighbour", -15},
                  {"ns", "ns", 8},
                  {"m_faults_per_s", "M/s", 7},
                  {"of_undisturbed", "of spins", 8},
                  {"of_undisturbed_range", "min - max", 12},
                  {"left_top_rung_percent", "left %", 7},
                  {"mapper_k_ops_per_s", "mapper k/s", 10}});
    for (const Group& group : groups_) {
      for (size_t i = 0; i < kNeighbours.size(); ++i) PrintRow(group, i, report);
    }
    if (lab_.options().kernel) report.Note(kKernelNote);
    NoteWindows(rounds_, lab_.options().rounds, report);
  }

  void AddAims(std::vector<Aim>& aims) const {
    for (const Group& group : groups_) {
      if (!group.who.scheme) continue;
      const SchemeName scheme = lab_.options().schemes[*group.who.scheme].scheme;
      if (scheme == SchemeName::kMmapLock || scheme == SchemeName::kSpfMmSeq) continue;
      aims.push_back(
          {absl::StrFormat("%s beside a far mapper, by undisturbed", faultline::Name(scheme)),
           ByUndisturbed(group, kFarMapper).median, Aim::Sense::kAtLeast, 0.7});
    }
  }

 private:
  static constexpr std::array kNeighbours{Neighbour::kSpins, Neighbour::kFarMapper,
                                          Neighbour::kMergingMapper};
  static constexpr size_t kUndisturbed = 0;
  static constexpr size_t kFarMapper = 1;

  struct Group {
    Who who;
    std::array<size_t, kNeighbours.size()> ids;
  };

  [[nodiscard]] Spread ByUndisturbed(const Group& group, size_t neighbour) const {
    return rounds_.Ratio(group.ids[neighbour], group.ids[kUndisturbed], &Window::FaultsPerSecond);
  }

  void PrintRow(const Group& group, size_t neighbour, Report& report) const {
    const size_t id = group.ids[neighbour];
    const Spread share = ByUndisturbed(group, neighbour);
    report.Row({Text(group.who.NameIn(lab_.options())),
                Text(std::string(Name(kNeighbours[neighbour]))),
                Number(rounds_.Of(id, &Window::NsPerFault).median, 1),
                Number(rounds_.Of(id, &Window::FaultsPerSecond).median / 1e6, 2),
                Number(share.median, 2), Range(share, 2), LeftTopRung(rounds_, id),
                neighbour == kUndisturbed ? NoFigure() : KiloMapperOps(rounds_, id)});
  }

  Lab& lab_;
  Rounds rounds_;
  std::vector<Group> groups_;
};

}  // namespace

void PrintMappers(Lab& lab, Report& report, std::vector<Aim>& aims) {
  MapperTable table(lab);
  table.Measure();
  table.Print(report);
  table.AddAims(aims);
}

// -- Against the mapper's duty --------------------------------------------------------------------

namespace {

constexpr std::array kDuties{0, 1, 5, 10, 25, 50, 100};  ///< percent

class DutyTable {
 public:
  explicit DutyTable(Lab& lab) : lab_(lab) {
    for (const SchemeName name : {SchemeName::kSpfMmSeq, SchemeName::kVmaRefcnt,
                                  SchemeName::kRcuRestart, SchemeName::kRcuContinue}) {
      if (const std::optional<size_t> index = IndexOf(lab.options(), name)) {
        columns_.push_back({name, *index, {}});
      }
    }
  }

  void Measure() {
    if (columns_.empty()) return;
    // One period for all, so that their mappers try to do the same.
    constexpr double kSeconds = 0.02;
    alone_ns_ = MapperNsAlone(lab_.crew(), WorldOf(columns_.front()), kSeconds);
    for (size_t i = 0; i < kDuties.size(); ++i) {
      for (OfScheme& column : columns_) column.ids[i] = AddCell(column, kDuties[i]);
    }
    rounds_.Run(lab_.options().rounds, "against the mapper's duty");
  }

  void Print(Report& report) const {
    if (columns_.empty()) return;
    report.Begin("mapper_duty",
                 absl::StrFormat("One thread's faults (tag) beside a far mapper. Duty 100: no "
                                 "pause; d: an operation each %.0f ns * 100 / d",
                                 alone_ns_),
                 {{"duty_percent", "duty %", 6},
                  {"scheme", "scheme", -12},
                  {"mapper_k_ops_per_s", "mapper k/s", 10},
                  {"m_faults_per_s", "M/s", 7},
                  {"of_duty_0", "of duty 0", 9},
                  {"of_duty_0_range", "min - max", 12},
                  {"left_top_rung_percent", "left %", 7},
                  {"spf_mm_seq_by_it", "spf_mm_seq by it", 16},
                  {"spf_mm_seq_by_it_range", "min - max", 12}});
    for (size_t i = 0; i < kDuties.size(); ++i) {
      for (const OfScheme& column : columns_) PrintRow(i, column, report);
    }
    NoteWindows(rounds_, lab_.options().rounds, report);
    PrintCrossovers(report);
  }

 private:
  struct OfScheme {
    SchemeName name;
    size_t index;
    std::array<size_t, kDuties.size()> ids;
  };

  World& WorldOf(const OfScheme& column) { return lab_.Of(column.index, PageContents::kTag); }

  size_t AddCell(const OfScheme& column, int duty) {
    WindowSpec spec{.neighbour = duty == 0 ? Neighbour::kSpins : Neighbour::kFarMapper};
    if (duty != 0 && duty != 100) spec.mapper_period_ns = alone_ns_ * 100 / duty;
    return AddWindow(rounds_, lab_, WorldOf(column), spec);
  }

  [[nodiscard]] std::optional<Spread> SpfBy(size_t duty, const OfScheme& column) const {
    const OfScheme& spf = columns_.front();
    if (spf.name != SchemeName::kSpfMmSeq || column.name == spf.name) return std::nullopt;
    return rounds_.Ratio(spf.ids[duty], column.ids[duty], &Window::FaultsPerSecond);
  }

  void PrintRow(size_t duty, const OfScheme& column, Report& report) const {
    const size_t id = column.ids[duty];
    const Spread share = rounds_.Ratio(id, column.ids[0], &Window::FaultsPerSecond);
    const std::optional<Spread> spf = SpfBy(duty, column);
    report.Row({Number(kDuties[duty]), Text(std::string(faultline::Name(column.name))),
                KiloMapperOps(rounds_, id),
                Number(rounds_.Of(id, &Window::FaultsPerSecond).median / 1e6, 2),
                Number(share.median, 2), Range(share, 2), LeftTopRung(rounds_, id),
                Number(MedianOf(spf), 2), Range(spf, 2)});
  }

  /// From which duty on spf_mm_seq is slower, at it and at every greater one; kDuties.size() if it
  /// is not at the last.
  [[nodiscard]] size_t SlowerFrom(const OfScheme& column) const {
    size_t from = kDuties.size();
    while (from > 0 && SpfBy(from - 1, column)->median < 1) --from;
    return from;
  }

  void PrintCrossovers(Report& report) const {
    if (columns_.size() < 2 || columns_.front().name != SchemeName::kSpfMmSeq) return;
    report.Begin("crossover", "Where spf_mm_seq begins to lose, by medians of ratios",
                 {{"against", "against", -12},
                  {"not_slower_at_percent", "last duty % not slower", 22},
                  {"slower_from_percent", "slower from duty %", 18}});
    for (const OfScheme& column : columns_) {
      if (column.name == SchemeName::kSpfMmSeq) continue;
      const size_t from = SlowerFrom(column);
      report.Row({Text(std::string(faultline::Name(column.name))),
                  from == 0 ? NoFigure() : Number(kDuties[from - 1]),
                  from == kDuties.size() ? NoFigure() : Number(kDuties[from])});
    }
  }

  Lab& lab_;
  Rounds rounds_;
  std::vector<OfScheme> columns_;  ///< spf_mm_seq first, if it is measured
  double alone_ns_ = 0;
};

}  // namespace

void PrintDuties(Lab& lab, Report& report) {
  DutyTable table(lab);
  table.Measure();
  table.Print(report);
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
