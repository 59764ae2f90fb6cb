// SPDX-License-Identifier: Apache-2.0
//
// Observers (E19): what threads of a program notice of somebody who reads its smaps in a loop, in
// each of the three modes of reading; see rpc_tables.h.
//
// The victims are two streams: one touches pages for the first time, one maps and unmaps. Their mm
// has half a GiB of pages, so that a reading takes long enough to be in the way. They think between
// two operations: without that a victim that is held up for a millisecond would make a thousand
// operations before it is held up again, and no percentile would show it. Latencies are the
// server's own, operation by operation: neither transport nor thinking is in them.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_format.h>
#include <grpcpp/client_context.h>

#include "core/base/check.h"
#include "faultline/v1/observe.grpc.pb.h"
#include "proto/columns/batch_builder.h"
#include "tests/bench/rounds.h"
#include "tests/bench/rpc_load.h"
#include "tests/bench/rpc_tables.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kPage = 4096;
constexpr int kVmas = 8;
constexpr uint64_t kVmaBytes = uint64_t{64} << 20;
constexpr uint64_t kTouched = uint64_t{4} << 20;
constexpr uint64_t kMappedBytes = 16 * kPage;
constexpr uint32_t kBatch = 64;
constexpr uint64_t kThinkNs = 20'000;
constexpr uint64_t kAnonymousFixed = 0x32;  // MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
constexpr uint64_t kDontNeed = 4;           // MADV_DONTNEED

/// Reads smaps from beginning to end, again and again.
class ObserverLoad final : public Load {
 public:
  ObserverLoad(const std::string& target, const RpcMm& mm, v1::ReadMode mode)
      : stub_(NewChannel(target)), mm_(mm), mode_(mode) {}
  [[nodiscard]] int clients() const override { return 1; }
  [[nodiscard]] Body Client(int /*index*/) override {
    return [this] { return ReadOnce(); };
  }

 private:
  uint64_t ReadOnce() {
    v1::ReadSmapsRequest request;
    request.set_mm(mm_.name());
    request.set_mode(mode_);
    request.set_format(v1::MAPS_FORMAT_TEXT);
    request.set_page_size(kVmas);
    do {
      v1::ReadSmapsResponse response;
      grpc::ClientContext context;
      MM_CHECK(stub_.ReadSmaps(&context, request, &response).ok());
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return 1;
  }

  v1::ObserveService::Stub stub_;
  const RpcMm& mm_;
  const v1::ReadMode mode_;
};

/// Latencies of a window, of operations that a victim made.
class Latencies {
 public:
  /// Every other operation is one of thinking.
  void Add(const v1::OperationResults& results) {
    for (int i = 0; i < results.latencies_ns_size(); i += 2) ns_.push_back(results.latencies_ns(i));
  }
  /// In microseconds; empties it.
  [[nodiscard]] std::pair<double, double> TakeP50AndP99() {
    MM_CHECK(!ns_.empty());
    std::sort(ns_.begin(), ns_.end());
    const auto at = [this](size_t percent) {
      return static_cast<double>(ns_[ns_.size() * percent / 100]) * 1e-3;
    };
    const std::pair result(at(50), at(99));
    ns_.clear();
    return result;
  }
  void Clear() { ns_.clear(); }

 private:
  std::vector<uint64_t> ns_;
};

/// First touches of one page after the other; then they are all given back, untimed.
StreamLoad::Fill Touching(uint64_t begin, uint64_t bytes) {
  return [=, next = begin](v1::OperationBatch& batch) mutable -> uint64_t {
    columns::BatchBuilder builder(batch);
    if (next == begin + bytes) {
      builder.Madvise({begin}, bytes, kDontNeed);
      next = begin;
      return 0;
    }
    for (uint32_t i = 0; i < kBatch; ++i, next += kPage) {
      builder.Fault(v1::ACCESS_KIND_WRITE, {next});
      builder.Pause(kThinkNs);
    }
    batch.set_with_latencies(true);
    return kBatch;
  };
}

StreamLoad::Fill Mapping(uint64_t address) {
  return [=](v1::OperationBatch& batch) -> uint64_t {
    columns::BatchBuilder builder(batch);
    for (uint32_t i = 0; i < kBatch; i += 2) {
      builder.Mmap({address}, kMappedBytes, {.prot = 3, .flags = kAnonymousFixed});
      builder.Pause(kThinkNs);
      builder.Munmap({address}, kMappedBytes);
      builder.Pause(kThinkNs);
    }
    batch.set_with_latencies(true);
    return kBatch;
  };
}

/// A stream whose operations are timed one by one.
std::unique_ptr<StreamLoad> Victim(const ServerProcess& server, const RpcMm& mm,
                                   StreamLoad::Fill fill, Latencies& latencies) {
  return std::make_unique<StreamLoad>(
      server.target(), Side::kFaultline, mm, 2, std::move(fill),
      [&latencies](const v1::OperationResults& results) { latencies.Add(results); });
}

/// VMAs below the region, every other one read-only so that they do not merge, all with pages.
void AddVmas(const ServerProcess& server, const RpcMm& mm) {
  const auto fill = [&](v1::OperationBatch& batch) {
    columns::BatchBuilder builder(batch);
    for (uint64_t i = 0; i < kVmas; ++i) {
      const uint64_t address = mm.region() - (2 + i) * kVmaBytes;
      builder.Mmap({address}, kVmaBytes, {.prot = 3, .flags = kAnonymousFixed});
      builder.TouchRange(v1::ACCESS_KIND_WRITE, {address}, kVmaBytes);
      if (i % 2 != 0) builder.Mprotect({address}, kVmaBytes, 1);
    }
    return uint64_t{1};
  };
  StreamLoad load(server.target(), Side::kFaultline, mm, 1, fill);
  (void)load.Client(0)();
}

/// What one observer does to the victims of one scheme.
struct Cell {
  std::string observer;
  std::optional<v1::ReadMode> mode;  ///< nothing: there is no observer
};
const std::array<Cell, 4> kCells = {
    Cell{"none", std::nullopt}, Cell{"whole_lock", v1::READ_MODE_WHOLE_LOCK},
    Cell{"per_vma", v1::READ_MODE_PER_VMA}, Cell{"rcu", v1::READ_MODE_RCU}};

/// What a window showed of the victims, in microseconds, and of the observer.
struct ObserverWindow {
  std::pair<double, double> fault;  ///< p50 and p99
  std::pair<double, double> map;    ///< likewise
  double readings_per_s = 0;
  double foreign_cores = 0;

  [[nodiscard]] double FaultP50() const { return fault.first; }
  [[nodiscard]] double FaultP99() const { return fault.second; }
  [[nodiscard]] double MapP50() const { return map.first; }
  [[nodiscard]] double MapP99() const { return map.second; }
  [[nodiscard]] double Readings() const { return readings_per_s; }
};

/// The victims of one scheme.
class Victims {
 public:
  Victims(const ServerProcess& server, v1::Scheme scheme)
      : server_(server),
        mm_(server.target(), scheme, kTouched),
        faulter_(Victim(server, mm_, Touching(mm_.region(), kTouched), faults_)),
        mapper_(Victim(server, mm_, Mapping(mm_.region() - (uint64_t{1} << 40)), maps_)) {
    AddVmas(server, mm_);
  }

  [[nodiscard]] ObserverWindow Measure(const Cell& cell, double seconds) {
    std::vector<Load*> loads = {faulter_.get(), mapper_.get()};
    std::optional<ObserverLoad> observer;
    if (cell.mode) loads.push_back(&observer.emplace(server_.target(), mm_, *cell.mode));
    faults_.Clear();
    maps_.Clear();
    const RpcWindow last = bench::Measure(loads, server_, seconds).back();
    return {.fault = faults_.TakeP50AndP99(),
            .map = maps_.TakeP50AndP99(),
            .readings_per_s = observer ? last.rate() : 0,
            .foreign_cores = last.foreign_cores};
  }

 private:
  const ServerProcess& server_;
  const RpcMm mm_;
  Latencies faults_;
  Latencies maps_;
  const std::unique_ptr<StreamLoad> faulter_;
  const std::unique_ptr<StreamLoad> mapper_;
};

/// Prints its rows.
WindowTally MeasureScheme(const ServerProcess& server, v1::Scheme scheme, const RpcOptions& options,
                          Report& report) {
  Victims victims(server, scheme);
  Rounds<ObserverWindow> rounds;
  std::array<size_t, kCells.size()> ids{};
  for (size_t i = 0; i < kCells.size(); ++i) {
    ids[i] = rounds.Add([&victims, &options, &cell = kCells[i]] {
      return victims.Measure(cell, options.rounds.window_seconds);
    });
  }
  rounds.Run(options.rounds, "observers");
  const auto median = [&](size_t id, double (ObserverWindow::*figure)() const, int digits) {
    return Number(rounds.Of(id, figure).median, digits);
  };
  for (size_t i = 0; i < kCells.size(); ++i) {
    report.Row(
        {Text(NameOf(scheme)), Text(kCells[i].observer),
         median(ids[i], &ObserverWindow::FaultP50, 2), median(ids[i], &ObserverWindow::FaultP99, 2),
         median(ids[i], &ObserverWindow::MapP50, 2), median(ids[i], &ObserverWindow::MapP99, 2),
         median(ids[i], &ObserverWindow::Readings, 0)});
  }
  return rounds.tally();
}

}  // namespace

void PrintObservers(const ServerProcess& server, const RpcOptions& options, Report& report) {
  report.Begin("observers",
               absl::StrFormat(
                   "A reader of smaps beside a faulter and a mapper, mm of %d VMAs with "
                   "%d pages each; us of operations whose victims think for %d us between two "
                   "(E19)",
                   kVmas, static_cast<int>(kVmaBytes / kPage), static_cast<int>(kThinkNs / 1000)),
               {{"scheme", "scheme", -13},
                {"observer", "observer", -11},
                {"fault_p50_us", "fault p50", 10},
                {"fault_p99_us", "fault p99", 10},
                {"map_p50_us", "map p50", 10},
                {"map_p99_us", "map p99", 10},
                {"readings_per_s", "smaps/s", 8}});
  WindowTally tally;
  for (const v1::Scheme scheme :
       {v1::SCHEME_MMAP_LOCK, v1::SCHEME_VMA_REFCNT, v1::SCHEME_RCU_RESTART}) {
    const WindowTally one = MeasureScheme(server, scheme, options, report);
    tally.kept += one.kept;
    tally.redone += one.redone;
    tally.dirty += one.dirty;
  }
  NoteWindows("observers", tally, options.rounds, report);
}

}  // namespace faultline::bench
