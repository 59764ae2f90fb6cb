// SPDX-License-Identifier: Apache-2.0
//
// The tables of fault_bench beside a mapper: far away, merging, and by its duty; see
// fault_tables.h.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/strings/str_format.h>

#include "tests/bench/fault_cells.h"
#include "tests/bench/fault_tables.h"

namespace faultline::bench {
namespace {

std::string_view Name(Neighbour neighbour) {
  switch (neighbour) {
    case Neighbour::kNone:
      return "nobody";
    case Neighbour::kSpins:
      return "spins";
    case Neighbour::kFarMapper:
      return "maps far away";
    case Neighbour::kFarToucher:
      return "... and touches";
    case Neighbour::kMergingMapper:
      return "maps and merges";
  }
  return "?";
}

Value LeftTopRung(const Rounds<Window>& rounds, size_t cell) {
  return Number(Per(100, SumOf(rounds.windows(cell)), FaultCount::kLeftTopRung), 2);
}

Value KiloMapperOps(const Rounds<Window>& rounds, size_t cell) {
  return Number(rounds.Of(cell, &Window::MapperOpsPerSecond).median / 1e3, 1);
}

// Rows of one scheme: every neighbour, in an mm of hardly any VMA but theirs and in one of many.
constexpr std::array kNeighbours{Neighbour::kSpins, Neighbour::kFarMapper, Neighbour::kFarToucher,
                                 Neighbour::kMergingMapper};
constexpr std::array kCrowds{uint64_t{0}, uint64_t{1000}};
constexpr size_t kUndisturbed = 0;  ///< index of a neighbour, as the next
constexpr size_t kFarMapper = 1;
constexpr size_t kFarToucher = 2;

class MapperTable {
 public:
  explicit MapperTable(Lab& lab) : lab_(lab) {
    for (const Who who : SchemesAndKernel(lab.options(), lab.options().kernel)) {
      World& world = who.WorldIn(lab, PageContents::kTag);
      for (const uint64_t crowd : kCrowds) {
        Group group{who, crowd, {}};
        for (size_t i = 0; i < kNeighbours.size(); ++i) {
          group.ids[i] =
              AddWindow(rounds_, lab, world, {.neighbour = kNeighbours[i], .crowd = crowd});
        }
        groups_.push_back(group);
      }
    }
  }

  void Measure() { rounds_.Run(lab_.options().rounds, "beside a mapper"); }

  void Print(Report& report) const {
    report.Begin("beside_mapper",
                 "One thread's faults (tag) beside another that spins, or maps and unmaps 64 KiB, "
                 "in an mm of so many VMAs more; ratio: of M/s; left: faults in 100 that left the "
                 "first rung",
                 {{"scheme", "scheme", -12},
                  {"vmas_more", "VMAs", 5},
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
    if (lab_.options().kernel) NoteKernel(report);
    NoteWindows("beside_mapper", rounds_.tally(), lab_.options().rounds, report);
  }

  void AddAims(std::vector<Aim>& aims) const {
    for (const Group& group : groups_) {
      if (!group.who.scheme) continue;
      const SchemeName scheme = *group.who.SchemeIn(lab_.options());
      if (scheme == SchemeName::kMmapLock || scheme == SchemeName::kSpfMmSeq) continue;
      for (const size_t far : {kFarMapper, kFarToucher}) {
        aims.push_back(
            {absl::StrFormat("%s, %s, %d VMAs more", faultline::Name(scheme),
                             far == kFarMapper ? "far mapper" : "that touches", group.crowd),
             ByUndisturbed(group, far).median, Aim::Sense::kAtLeast, 0.7});
      }
    }
  }

 private:
  struct Group {
    Who who;
    uint64_t crowd;
    std::array<size_t, kNeighbours.size()> ids;
  };

  [[nodiscard]] Spread ByUndisturbed(const Group& group, size_t neighbour) const {
    return rounds_.Ratio(group.ids[neighbour], group.ids[kUndisturbed], &Window::FaultsPerSecond);
  }

  void PrintRow(const Group& group, size_t neighbour, Report& report) const {
    const size_t id = group.ids[neighbour];
    const Spread share = ByUndisturbed(group, neighbour);
    report.Row({Text(group.who.NameIn(lab_.options())), Number(static_cast<int>(group.crowd)),
                Text(std::string(Name(kNeighbours[neighbour]))),
                Number(rounds_.Of(id, &Window::NsPerFault).median, 1),
                Number(rounds_.Of(id, &Window::FaultsPerSecond).median / 1e6, 2),
                Number(share.median, 2), Range(share, 2), LeftTopRung(rounds_, id),
                neighbour == kUndisturbed ? NoFigure() : KiloMapperOps(rounds_, id)});
  }

  Lab& lab_;
  Rounds<Window> rounds_;
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
    NoteWindows("mapper_duty", rounds_.tally(), lab_.options().rounds, report);
    PrintCrossovers(report);
  }

 private:
  static constexpr double kSlower = 0.95;

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

  /// From which duty on spf_mm_seq is slower, at it and at every greater one, by more than what may
  /// be noise; kDuties.size() if it is not at the last.
  [[nodiscard]] size_t SlowerFrom(const OfScheme& column) const {
    size_t from = kDuties.size();
    while (from > 0 && SpfBy(from - 1, column)->median < kSlower) --from;
    return from;
  }

  void PrintCrossovers(Report& report) const {
    if (columns_.size() < 2 || columns_.front().name != SchemeName::kSpfMmSeq) return;
    report.Begin("crossover", "Where spf_mm_seq begins to lose more than 5 %, by medians of ratios",
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
  Rounds<Window> rounds_;
  std::vector<OfScheme> columns_;  ///< spf_mm_seq first, if it is measured
  double alone_ns_ = 0;
};

}  // namespace

void PrintDuties(Lab& lab, Report& report) {
  DutyTable table(lab);
  table.Measure();
  table.Print(report);
}

}  // namespace faultline::bench
