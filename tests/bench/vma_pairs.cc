// SPDX-License-Identifier: Apache-2.0
//
// Implementation of vma_pairs.h.
#include "tests/bench/vma_pairs.h"

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <absl/strings/str_format.h>
#include <benchmark/benchmark.h>

#include "tests/bench/vma_subjects.h"

namespace faultline::bench {
namespace {

constexpr std::array<size_t, 4> kSizes = {10, 1'000, 100'000, 1'000'000};

// -- Subjects: what one thread repeats ------------------------------------------------------------

template <class Index>
Subject Lookups(size_t vmas) {
  auto filled = std::make_shared<Filled<Index>>(vmas);
  return {.name = Index::kName, .body = [filled](int, const std::atomic<bool>& stop) {
            (void)CurrentTask();  // registers the thread
            QuickRandom random(11);
            const auto op = [&] {
              benchmark::DoNotOptimize(filled->index.Find(filled->AnyAddress(random)));
            };
            return RepeatUntil(stop, op);
          }};
}

/// Lookups beside a thread that takes VMAs out and puts them back, on the next CPU. `changes`
/// counts what that one did in all windows.
template <class Index>
Subject LookupsBesideWriter(size_t vmas, std::shared_ptr<std::atomic<uint64_t>> changes) {
  auto filled = std::make_shared<Filled<Index>>(vmas);
  return {.name = Index::kName,
          .body = [filled, changes](int thread, const std::atomic<bool>& stop) {
            (void)CurrentTask();
            std::thread writer([&] {
              PinToCpu(thread + 1);
              (void)CurrentTask();
              QuickRandom random(13);
              const auto op = [&] { filled->EraseAndInsert(random); };
              changes->fetch_add(RepeatUntil(stop, op), std::memory_order_relaxed);  // a statistic
            });
            QuickRandom random(11);
            const auto op = [&] {
              benchmark::DoNotOptimize(filled->index.Find(filled->AnyAddress(random)));
            };
            const uint64_t count = RepeatUntil(stop, op);
            writer.join();
            return count;
          }};
}

template <class Index>
Subject Changes(size_t vmas) {
  auto filled = std::make_shared<Filled<Index>>(vmas);
  return {.name = Index::kName, .body = [filled](int, const std::atomic<bool>& stop) {
            (void)CurrentTask();
            QuickRandom random(13);
            const auto op = [&] { filled->EraseAndInsert(random); };
            return RepeatUntil(stop, op);
          }};
}

/// An operation is one step to the next VMA.
template <class Index>
Subject Steps(size_t vmas) {
  auto filled = std::make_shared<Filled<Index>>(vmas);
  return {.name = Index::kName, .body = [filled](int, const std::atomic<bool>& stop) {
            (void)CurrentTask();
            uint64_t count = 0;
            while (!stop.load(std::memory_order_relaxed)) {  // relaxed: nothing else is passed
              count += filled->index.Walk();
            }
            return count;
          }};
}

// -- Table ----------------------------------------------------------------------------------------

struct Row {
  const char* what;
  size_t vmas;
  std::string peer;
  PairResult result;
};

class Table {
 public:
  explicit Table(const PairOptions& options) : options_(options) {
    absl::PrintF("\nThe maple tree in interleaved pairs; ns per operation, medians\n");
    absl::PrintF("%-22s %9s %8s  %-20s %8s  %6s  %-13s %7s %6s\n", "operation", "VMAs", "ns",
                 "peer", "ns", "ratio", "min - max", "windows", "redone");
  }
  const PairResult& Add(const char* what, size_t vmas, const Subject& ours, const Subject& peer) {
    rows_.push_back({what, vmas, peer.name, RunPairs(ours, peer, /*threads=*/1, options_)});
    const PairResult& result = rows_.back().result;
    absl::PrintF("%-22s %9d %8.1f  %-20s %8.1f  %6.2f  %-13s %7d %6d%s\n", what, vmas,
                 result.subject_ns.median, peer.name, result.peer_ns.median, result.ratio.median,
                 absl::StrFormat("%.2f - %.2f", result.ratio.min, result.ratio.max), result.windows,
                 result.redone, result.dirty > 0 ? "  others were busy" : "");
    std::fflush(stdout);
    return result;
  }
  [[nodiscard]] const PairResult* Find(std::string_view what, size_t vmas,
                                       std::string_view peer) const {
    for (const Row& row : rows_) {
      if (row.what == what && row.vmas == vmas && row.peer == peer) return &row.result;
    }
    return nullptr;
  }

 private:
  PairOptions options_;
  std::vector<Row> rows_;
};

constexpr const char* kLookup = "lookup";
constexpr const char* kBesideWriter = "lookup beside writer";
constexpr const char* kChange = "erase and insert";
constexpr const char* kStep = "step to the next";

/// Rate of the writer, over all windows that were run, also those measured again.
double ChangeNs(uint64_t changes, const PairResult& result, const PairOptions& options) {
  const double seconds = (result.windows + result.redone) / 2.0 * options.window_seconds;
  return 1e9 * seconds / static_cast<double>(std::max<uint64_t>(changes, 1));
}

void AddBesideWriter(Table& table, size_t vmas, const PairOptions& options) {
  auto ours = std::make_shared<std::atomic<uint64_t>>(0);
  auto peers = std::make_shared<std::atomic<uint64_t>>(0);
  const PairResult& result = table.Add(kBesideWriter, vmas, LookupsBesideWriter<Maple>(vmas, ours),
                                       LookupsBesideWriter<LockedBtree>(vmas, peers));
  absl::PrintF("%-22s %9s %8.0f  %-20s %8.0f\n", "  its writer, about", "",
               ChangeNs(*ours, result, options), "", ChangeNs(*peers, result, options));
}

template <class Index>
double BytesPerVma(size_t vmas) {
  const Filled<Index> filled(vmas);
  return static_cast<double>(filled.index.bytes()) / static_cast<double>(vmas);
}

void PrintBytes() {
  absl::PrintF("\nBytes per VMA, the VMA itself and nodes kept for the next stores not counted\n");
  absl::PrintF("%9s %12s %16s %10s\n", "VMAs", Maple::kName, Btree::kName, RedBlack::kName);
  for (const size_t vmas : kSizes) {
    absl::PrintF("%9d %12.1f %16.1f %10.1f\n", vmas, BytesPerVma<Maple>(vmas),
                 BytesPerVma<Btree>(vmas), BytesPerVma<RedBlack>(vmas));
  }
}

void PrintAim(const std::string& what, double figure, double aim, const char* unit) {
  absl::PrintF("%-64s %6.2f %-3s aim %6.2f  %s\n", what, figure, unit, aim,
               figure <= aim ? "met" : "missed");
}

void PrintAims(const Table& table) {
  absl::PrintF("\nAims (of the project; text, not a test)\n");
  const auto lookup = [&](size_t vmas) { return table.Find(kLookup, vmas, Btree::kName); };
  PrintAim("lookup among 1000", lookup(1'000)->subject_ns.median, 40, "ns");
  PrintAim("lookup among a million", lookup(1'000'000)->subject_ns.median, 450, "ns");
  PrintAim("lookup among 10, by absl::btree_map", lookup(10)->ratio.median, 1 / 0.6, "x");
  for (const size_t vmas : {size_t{1'000}, size_t{100'000}, size_t{1'000'000}}) {
    PrintAim(absl::StrFormat("lookup among %d, by absl::btree_map", vmas),
             lookup(vmas)->ratio.median, 1, "x");
  }
  for (const size_t vmas : kSizes) {
    PrintAim(absl::StrFormat("lookup among %d beside a writer, by btree and lock", vmas),
             table.Find(kBesideWriter, vmas, LockedBtree::kName)->ratio.median, 1, "x");
  }
  for (const size_t vmas : {size_t{10}, size_t{1'000}}) {
    PrintAim(absl::StrFormat("erase and insert among %d", vmas),
             table.Find(kChange, vmas, Btree::kName)->subject_ns.median, 200, "ns");
  }
  PrintAim("bytes per VMA among a million: VMA with its locks, and tree",
           static_cast<double>(sizeof(Vma)) + BytesPerVma<Maple>(1'000'000), 256, "B");
}

}  // namespace

void PrintVmaPairs(const PairOptions& options) {
  Table table(options);
  for (const size_t vmas : kSizes) {
    table.Add(kLookup, vmas, Lookups<Maple>(vmas), Lookups<Btree>(vmas));
    table.Add(kLookup, vmas, Lookups<Maple>(vmas), Lookups<RedBlack>(vmas));
  }
  for (const size_t vmas : kSizes) AddBesideWriter(table, vmas, options);
  for (const size_t vmas : kSizes) {
    table.Add(kChange, vmas, Changes<Maple>(vmas), Changes<Btree>(vmas));
    table.Add(kChange, vmas, Changes<Maple>(vmas), Changes<RedBlack>(vmas));
  }
  for (const size_t vmas : {size_t{1'000}, size_t{100'000}}) {
    table.Add(kStep, vmas, Steps<Maple>(vmas), Steps<Btree>(vmas));
  }
  PrintBytes();
  PrintAims(table);
}

}  // namespace faultline::bench
