// SPDX-License-Identifier: Apache-2.0
//
// What the VMA index costs: lookups in the maple tree beside absl::btree_map and std::map in the
// same run, alone and beside a writer, and erasures and insertions, at 10 to a million VMAs.
//
//   vma_bench [--pairs | --no-pairs] [--benchmark_...]
//
// Google Benchmark's loop is for single figures and for profiles; what counts are the interleaved
// pairs (vma_pairs.h), which are run after it, or alone with --pairs.
#include <cstring>

#include <absl/strings/str_format.h>
#include <benchmark/benchmark.h>

#include "core/sync/lock_stats.h"
#include "tests/bench/vma_pairs.h"
#include "tests/bench/vma_subjects.h"

namespace faultline::bench {
namespace {

template <class Index>
void Lookup(benchmark::State& state) {
  const auto vmas = static_cast<size_t>(state.range(0));
  const Filled<Index> filled(vmas);
  QuickRandom random(11);
  for (auto _ : state) benchmark::DoNotOptimize(filled.index.Find(filled.AnyAddress(random)));
  state.counters["bytes_per_vma"] =
      static_cast<double>(filled.index.bytes()) / static_cast<double>(vmas);
}

template <class Index>
void EraseInsert(benchmark::State& state) {
  Filled<Index> filled(static_cast<size_t>(state.range(0)));
  QuickRandom random(13);
  for (auto _ : state) filled.EraseAndInsert(random);
}

/// An iteration visits all VMAs.
template <class Index>
void Walk(benchmark::State& state) {
  const Filled<Index> filled(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(filled.index.Walk());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void Sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t vmas : {10, 1'000, 100'000, 1'000'000}) bench->Arg(vmas);
}

BENCHMARK(Lookup<Maple>)->Apply(&Sizes);
BENCHMARK(Lookup<Btree>)->Apply(&Sizes);
BENCHMARK(Lookup<RedBlack>)->Apply(&Sizes);
BENCHMARK(EraseInsert<Maple>)->Apply(&Sizes);
BENCHMARK(EraseInsert<Btree>)->Apply(&Sizes);
BENCHMARK(EraseInsert<RedBlack>)->Apply(&Sizes);
BENCHMARK(Walk<Maple>)->Apply(&Sizes);
BENCHMARK(Walk<Btree>)->Apply(&Sizes);
BENCHMARK(Walk<RedBlack>)->Apply(&Sizes);

/// Removes `flag` from the arguments; whether it was there.
bool Take(int& argc, char** argv, const char* flag) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], flag) != 0) continue;
    for (int j = i; j < argc; ++j) argv[j] = argv[j + 1];  // the null behind them, too
    --argc;
    return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  const bool only_pairs = Take(argc, argv, "--pairs");
  const bool no_pairs = Take(argc, argv, "--no-pairs");
  if (only_pairs && no_pairs) {
    absl::FPrintF(stderr, "vma_bench: one of --pairs and --no-pairs\n");
    return 2;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  SetLockdep(false);  // on by default in checked builds
  // The thread for RCU's callbacks starts now, while nothing is pinned, as it inherits that.
  {
    const Filled<Maple> first(1'000);
  }
  if (!only_pairs) benchmark::RunSpecifiedBenchmarks();
  if (!no_pairs) PrintVmaPairs({});
  return 0;
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) { return faultline::bench::Main(argc, argv); }
