// SPDX-License-Identifier: Apache-2.0
//
// Tables of rates and ratios; see rpc_tables.h.
#include "tests/bench/rpc_tables.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "tests/bench/rounds.h"
#include "tests/bench/rpc_load.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
/// What one stream touches before it gives the pages back: two of the largest batches.
constexpr uint64_t kPartBytes = 32 * kMib;
constexpr uint64_t kRegion = 4 * kPartBytes;

/// Loads that run at once; the first one is what is measured, with its streams taken together.
struct LoadGroup {
  std::vector<std::unique_ptr<Load>> loads;
  size_t measured = 1;  ///< how many of them, from the first on
};

RpcWindow MeasureLoads(const ServerProcess& server, const LoadGroup& group, double seconds) {
  std::vector<Load*> loads;
  loads.reserve(group.loads.size());
  for (const auto& load : group.loads) loads.push_back(load.get());
  const std::vector<RpcWindow> windows = Measure(loads, server, seconds);
  RpcWindow sum = windows.front();
  for (size_t i = 1; i < group.measured; ++i) sum.operations += windows[i].operations;
  return sum;
}

/// The rounds of a table, whose cells are loads of one server.
class RpcRounds : public Rounds<RpcWindow> {
 public:
  RpcRounds(const ServerProcess& server, const RpcOptions& options)
      : server_(server), options_(options.rounds) {}

  size_t AddLoads(LoadGroup group) {
    (void)MeasureLoads(server_, group, 0.05);  // connections and memory are there then
    return Add([this, shared = std::make_shared<const LoadGroup>(std::move(group))] {
      return MeasureLoads(server_, *shared, options_.window_seconds);
    });
  }
  /// Rate by rate, within a round.
  [[nodiscard]] Spread RateRatio(size_t cell, size_t by) const {
    return Ratio(cell, by, &RpcWindow::rate);
  }
  void Run(const std::string& table) { Rounds::Run(options_, table); }
  void Note(const std::string& table, Report& report) const {
    NoteWindows(table, tally(), options_, report);
  }

 private:
  const ServerProcess& server_;
  const RoundOptions& options_;
};

LoadGroup OneLoad(std::unique_ptr<Load> load) {
  LoadGroup group;
  group.loads.push_back(std::move(load));
  return group;
}

/// Whether faults find their pages absent, or there.
enum class Pages : uint8_t { kAbsent, kPresent };

/// Streams that fault in parts of one region, each in its own.
LoadGroup Faulters(const ServerProcess& server, Side side, const RpcMm& mm, int streams,
                   StreamShape shape, Pages pages) {
  LoadGroup group;
  group.measured = static_cast<size_t>(streams);
  for (int i = 0; i < streams; ++i) {
    const uint64_t begin = mm.region() + static_cast<uint64_t>(i) * kPartBytes;
    group.loads.push_back(std::make_unique<StreamLoad>(
        server.target(), side, mm, shape.in_flight,
        pages == Pages::kAbsent ? FirstTouches(begin, kPartBytes, shape.batch)
                                : Faults(begin, kPartBytes, shape.batch)));
  }
  return group;
}

/// Columns of a comparison with an empty call.
std::vector<Column> Compared(std::vector<Column> first) {
  for (const Column& column : std::vector<Column>{{"empty_per_s", "empty/s", 12},
                                                  {"faultline_per_s", "faultline/s", 12},
                                                  {"ratio", "ratio", 7},
                                                  {"ratio_range", "range", 12},
                                                  {"client_ns", "client ns", 10},
                                                  {"server_ns", "server ns", 10}}) {
    first.push_back(column);
  }
  return first;
}

void CompareRow(const RpcRounds& rounds, size_t cell, size_t empty, std::vector<Value> first,
                Report& report) {
  const Spread ratio = rounds.RateRatio(cell, empty);
  first.push_back(Number(rounds.Of(empty, &RpcWindow::rate).median, 0));
  first.push_back(Number(rounds.Of(cell, &RpcWindow::rate).median, 0));
  first.push_back(Number(ratio.median, 3));
  first.push_back(Range(ratio, 2));
  first.push_back(Number(rounds.Of(cell, &RpcWindow::client_ns).median, 0));
  first.push_back(Number(rounds.Of(cell, &RpcWindow::server_ns).median, 0));
  report.Row(first);
}

}  // namespace

std::string NameOf(v1::Scheme scheme) {
  std::string name = v1::Scheme_Name(scheme).substr(sizeof("SCHEME_") - 1);
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

void PrintUnary(const ServerProcess& server, const RpcOptions& options, Report& report) {
  const RpcMm mm(server.target(), v1::SCHEME_RCU_RESTART, kMib);
  RpcRounds rounds(server, options);
  std::vector<std::pair<size_t, size_t>> pairs;
  for (const int clients : options.clients) {
    const size_t empty = rounds.AddLoads(
        OneLoad(std::make_unique<UnaryLoad>(server.target(), Side::kEmpty, mm, clients)));
    const size_t fault = rounds.AddLoads(
        OneLoad(std::make_unique<UnaryLoad>(server.target(), Side::kFaultline, mm, clients)));
    pairs.emplace_back(fault, empty);
  }
  rounds.Run("unary");
  report.Begin("unary", "Unary faults (tag, rcu_restart) beside empty calls; CPU per call",
               Compared({{"clients", "clients", 8}}));
  for (size_t i = 0; i < pairs.size(); ++i) {
    CompareRow(rounds, pairs[i].first, pairs[i].second, {Number(options.clients[i])}, report);
  }
  rounds.Note("unary", report);
}

void PrintSingleOperations(const ServerProcess& server, const RpcOptions& options, Report& report) {
  const RpcMm mm(server.target(), v1::SCHEME_RCU_RESTART, kRegion);
  RpcRounds rounds(server, options);
  const std::vector<uint32_t> in_flight = {1, 4, 32};
  std::vector<std::pair<size_t, size_t>> pairs;
  for (const uint32_t depth : in_flight) {
    const StreamShape shape{.batch = 1, .in_flight = depth};
    const size_t empty =
        rounds.AddLoads(Faulters(server, Side::kEmpty, mm, 1, shape, Pages::kAbsent));
    const size_t fault =
        rounds.AddLoads(Faulters(server, Side::kFaultline, mm, 1, shape, Pages::kAbsent));
    pairs.emplace_back(fault, empty);
  }
  rounds.Run("single");
  report.Begin("single", "One stream of single faults beside an empty one; CPU per operation",
               Compared({{"in_flight", "in flight", 10}}));
  for (size_t i = 0; i < pairs.size(); ++i) {
    CompareRow(rounds, pairs[i].first, pairs[i].second, {Number(static_cast<int>(in_flight[i]))},
               report);
  }
  rounds.Note("single", report);
}

void PrintBatches(const ServerProcess& server, const RpcOptions& options, Report& report) {
  const RpcMm mm(server.target(), v1::SCHEME_RCU_RESTART, kRegion);
  constexpr uint32_t kInFlight = 4;
  RpcRounds rounds(server, options);
  struct Row {
    Pages pages;
    uint32_t batch;
    int streams;
    size_t empty;
    size_t fault;
  };
  std::vector<Row> rows;
  const auto add = [&](Pages pages, uint32_t batch, int streams) {
    const StreamShape shape{.batch = batch, .in_flight = kInFlight};
    const size_t empty = rounds.AddLoads(Faulters(server, Side::kEmpty, mm, streams, shape, pages));
    const size_t fault =
        rounds.AddLoads(Faulters(server, Side::kFaultline, mm, streams, shape, pages));
    rows.push_back(
        {.pages = pages, .batch = batch, .streams = streams, .empty = empty, .fault = fault});
  };
  for (const Pages pages : {Pages::kAbsent, Pages::kPresent}) {
    for (const uint32_t batch : options.batches) {
      for (const int streams : options.streams) add(pages, batch, streams);
    }
  }
  rounds.Run("batches");
  report.Begin(
      "batches",
      "Batches of write faults (tag, rcu_restart, one VMA), 4 in flight, on pages that are "
      "absent (given back in between, which is not counted) or present; CPU per fault",
      Compared({{"pages", "pages", -8}, {"batch", "batch", 6}, {"streams", "streams", 8}}));
  for (const Row& row : rows) {
    CompareRow(rounds, row.fault, row.empty,
               {Text(row.pages == Pages::kAbsent ? "absent" : "present"),
                Number(static_cast<int>(row.batch)), Number(row.streams)},
               report);
  }
  rounds.Note("batches", report);
}

void PrintContention(const ServerProcess& server, const RpcOptions& options, Report& report) {
  constexpr StreamShape kShape{.batch = 4096, .in_flight = 4};
  constexpr uint64_t kMappedBytes = 16 * uint64_t{4096};
  constexpr uint32_t kMapperBatch = 512;
  constexpr uint64_t kFar = uint64_t{1} << 40;
  std::vector<std::unique_ptr<RpcMm>> mms;
  RpcRounds rounds(server, options);
  struct Row {
    v1::Scheme scheme;
    size_t present;
    size_t quiet;
    size_t far;
    size_t merging;
  };
  std::vector<Row> rows;
  for (int number = v1::Scheme_MIN + 1; number <= v1::Scheme_MAX; ++number) {
    const auto scheme = static_cast<v1::Scheme>(number);
    mms.push_back(std::make_unique<RpcMm>(server.target(), scheme, 2 * kPartBytes));
    const auto beside = [&, mm = mms.back().get()](uint64_t below) {
      LoadGroup group = Faulters(server, Side::kFaultline, *mm, 2, kShape, Pages::kAbsent);
      if (below != 0) {
        group.loads.push_back(std::make_unique<StreamLoad>(
            server.target(), Side::kFaultline, *mm, 2,
            MapUnmap(mm->region() - below, kMappedBytes, kMapperBatch)));
      }
      return rounds.AddLoads(std::move(group));
    };
    rows.push_back({.scheme = scheme,
                    .present = rounds.AddLoads(Faulters(server, Side::kFaultline, *mms.back(), 2,
                                                        kShape, Pages::kPresent)),
                    .quiet = beside(0),
                    .far = beside(kFar),
                    .merging = beside(16 * uint64_t{4096})});
  }
  rounds.Run("contention");
  report.Begin(
      "contention",
      "Two streams with batches of 4096 write faults in one VMA, million faults/s: on pages "
      "that are present, on absent ones, on such beside a stream that maps and unmaps far "
      "away, and beside one that does so where the VMA merges; each by mmap_lock's",
      {{"scheme", "scheme", -13},
       {"present", "present", 8},
       {"present_ratio", "ratio", 7},
       {"alone", "absent", 8},
       {"alone_ratio", "ratio", 7},
       {"far", "far", 8},
       {"far_ratio", "ratio", 7},
       {"merging", "merging", 8},
       {"merging_ratio", "ratio", 7}});
  const auto millions = [&](size_t cell) {
    return Number(rounds.Of(cell, &RpcWindow::rate).median * 1e-6, 2);
  };
  for (const Row& row : rows) {
    report.Row(
        {Text(NameOf(row.scheme)), millions(row.present),
         Number(rounds.RateRatio(row.present, rows.front().present).median, 2), millions(row.quiet),
         Number(rounds.RateRatio(row.quiet, rows.front().quiet).median, 2), millions(row.far),
         Number(rounds.RateRatio(row.far, rows.front().far).median, 2), millions(row.merging),
         Number(rounds.RateRatio(row.merging, rows.front().merging).median, 2)});
  }
  rounds.Note("contention", report);
}

}  // namespace faultline::bench
