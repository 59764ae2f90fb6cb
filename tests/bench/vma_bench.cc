// SPDX-License-Identifier: Apache-2.0
//
// What the VMA index costs: random lookups in the maple tree beside absl::btree_map and std::map in
// the same run, and pairs of an insertion and an erasure, at 10 to a million entries.
//
//   vma_bench [--benchmark_...]
//
// Entries are of 8 KiB with as much between them, so that no two are neighbours; lookups go to
// random addresses inside entries and load one word of what they find, as a fault would.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <absl/container/btree_map.h>
#include <benchmark/benchmark.h>

#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/sync/sync.h"
#include "core/vma/maple_tree.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kStride = 0x4000;
constexpr uint64_t kLength = 0x2000;

/// What an index finds: stands for a VMA, on a cache line of its own.
struct alignas(64) Mapping {
  uint64_t first;
  uint64_t last;
};

/// The maple tree under the interface that all subjects share.
class Maple {
 public:
  Maple() : arena_(std::move(*Arena::Create(size_t{4} << 30))), heap_(arena_), tree_(heap_) {
    MM_CHECK(tree_.Init().ok());
  }
  ~Maple() { Rcu::Barrier(); }
  Maple(const Maple&) = delete;
  Maple& operator=(const Maple&) = delete;

  void Insert(Mapping& mapping) { Set(mapping.first, mapping.last, &mapping); }
  void Erase(const Mapping& mapping) { Set(mapping.first, mapping.last, nullptr); }
  [[nodiscard]] const Mapping* Find(uint64_t address) const {
    const RcuGuard guard;
    return static_cast<const Mapping*>(tree_.Find(address));
  }
  [[nodiscard]] double BytesPerEntry(size_t entries) const {
    return static_cast<double>(tree_.node_count() * MapleTree::kNodeBytes) /
           static_cast<double>(entries);
  }

 private:
  void Set(uint64_t first, uint64_t last, Mapping* value) {
    MM_CHECK(tree_.Reserve(first, last).ok());
    tree_.Store(first, last, value);
  }

  Arena arena_;
  Heap heap_;
  MapleTree tree_;
};

/// An ordered map from an entry's first address. Single-threaded: it takes no lock, unlike its use
/// in a fault would have to.
template <class Map>
class Ordered {
 public:
  void Insert(Mapping& mapping) { map_[mapping.first] = &mapping; }
  void Erase(const Mapping& mapping) { map_.erase(mapping.first); }
  [[nodiscard]] const Mapping* Find(uint64_t address) const {
    auto it = map_.upper_bound(address);
    if (it == map_.begin()) return nullptr;
    --it;
    return it->second->last >= address ? it->second : nullptr;
  }
  [[nodiscard]] double BytesPerEntry(size_t) const { return 0; }

 private:
  Map map_;
};

using Btree = Ordered<absl::btree_map<uint64_t, Mapping*>>;
using RedBlack = Ordered<std::map<uint64_t, Mapping*>>;

/// Entries inserted in random order.
template <class Index>
struct Filled {
  explicit Filled(size_t entries) : mappings(entries) {
    std::vector<Mapping*> order;
    for (size_t i = 0; i < entries; ++i) {
      mappings[i] = {i * kStride, i * kStride + kLength - 1};
      order.push_back(&mappings[i]);
    }
    std::shuffle(order.begin(), order.end(), std::mt19937_64(7));
    for (Mapping* mapping : order) index.Insert(*mapping);
  }
  std::vector<Mapping> mappings;
  Index index;
};

template <class Index>
void Lookup(benchmark::State& state) {
  const auto entries = static_cast<size_t>(state.range(0));
  const Filled<Index> filled(entries);
  std::mt19937_64 random(11);
  std::vector<uint64_t> addresses(1u << 20);
  for (uint64_t& address : addresses) {
    address = random() % entries * kStride + random() % kLength;
  }
  size_t next = 0;
  for (auto _ : state) {
    const Mapping* found = filled.index.Find(addresses[next++ % addresses.size()]);
    benchmark::DoNotOptimize(found->last);
  }
  state.counters["bytes_per_entry"] = filled.index.BytesPerEntry(entries);
}

template <class Index>
void InsertErase(benchmark::State& state) {
  const auto entries = static_cast<size_t>(state.range(0));
  Filled<Index> filled(entries);
  std::mt19937_64 random(13);
  for (auto _ : state) {
    Mapping& mapping = filled.mappings[random() % entries];
    filled.index.Erase(mapping);
    filled.index.Insert(mapping);
  }
}

void Sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t entries : {10, 1'000, 100'000, 1'000'000}) bench->Arg(entries);
}

BENCHMARK(Lookup<Maple>)->Apply(&Sizes);
BENCHMARK(Lookup<Btree>)->Apply(&Sizes);
BENCHMARK(Lookup<RedBlack>)->Apply(&Sizes);
BENCHMARK(InsertErase<Maple>)->Apply(&Sizes);
BENCHMARK(InsertErase<Btree>)->Apply(&Sizes);
BENCHMARK(InsertErase<RedBlack>)->Apply(&Sizes);

}  // namespace
}  // namespace faultline::bench

BENCHMARK_MAIN();
