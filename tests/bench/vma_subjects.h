// SPDX-License-Identifier: Apache-2.0
//
// What vma_bench measures: the maple tree, and ordered maps, under one interface.
//
//   Insert(vma)  Erase(vma)  Find(address)  Walk(visit)  bytes()
//
// Invariant: all subjects hold pointers to VMAs at the same places, and Find looks into the VMA
// that it found, as a fault would. VMAs are of 8 KiB with as much between them, so that no two are
// neighbours.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <utility>
#include <vector>

#include <absl/container/btree_map.h>

#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/base/types.h"
#include "core/sync/sync.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"

namespace faultline::bench {

inline constexpr uint64_t kVmaStride = 0x4000;
inline constexpr uint64_t kVmaBytes = 0x2000;

/// A random number below `bound` per call, in a nanosecond and without memory.
class QuickRandom {
 public:
  explicit QuickRandom(uint64_t seed) : state_(seed) {}
  uint64_t Below(uint64_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return ((state_ >> 32) * bound) >> 32;
  }

 private:
  uint64_t state_;
};

class Maple {
 public:
  static constexpr const char* kName = "maple tree";

  Maple() : arena_(std::move(*Arena::Create(size_t{4} << 30))), heap_(arena_), tree_(heap_) {
    MM_CHECK(tree_.Init().ok());
  }
  ~Maple() { Rcu::Barrier(); }
  Maple(const Maple&) = delete;
  Maple& operator=(const Maple&) = delete;

  void Insert(Vma& vma) { Set(vma, &vma); }
  void Erase(const Vma& vma) { Set(vma, nullptr); }
  /// Reads the start of the VMA at `address`, if there is one.
  [[nodiscard]] uint64_t Find(uint64_t address) const {
    const RcuGuard guard;
    const auto* vma = static_cast<const Vma*>(tree_.Find(address));
    return vma != nullptr ? vma->start().value() : 0;
  }
  /// The number of VMAs, counted by visiting the tree's entries in order.
  [[nodiscard]] size_t Walk() const {
    size_t count = 0;
    for (MapleCursor cursor(tree_); cursor.NextValue();) ++count;
    return count + (tree_.Find(0) != nullptr ? 1 : 0);
  }
  [[nodiscard]] size_t bytes() const { return tree_.node_count() * MapleTree::kNodeBytes; }

 private:
  void Set(const Vma& vma, Vma* value) {
    MM_CHECK(tree_.Reserve(vma.start().value(), vma.end().value() - 1).ok());
    tree_.Store(vma.start().value(), vma.end().value() - 1, value);
  }

  Arena arena_;
  Heap heap_;
  MapleTree tree_;
};

/// Counts what a map allocates.
template <class T>
class CountingAllocator {
 public:
  using value_type = T;
  explicit CountingAllocator(size_t* bytes) : bytes_(bytes) {}
  template <class U>
  CountingAllocator(const CountingAllocator<U>& other)  // NOLINT(google-explicit-constructor)
      : bytes_(other.bytes()) {}
  T* allocate(size_t n) {
    *bytes_ += n * sizeof(T);
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* pointer, size_t n) {
    *bytes_ -= n * sizeof(T);
    std::allocator<T>().deallocate(pointer, n);
  }
  [[nodiscard]] size_t* bytes() const { return bytes_; }
  friend bool operator==(const CountingAllocator&, const CountingAllocator&) = default;

 private:
  size_t* bytes_;
};

using CountingPairs = CountingAllocator<std::pair<const uint64_t, Vma*>>;

struct BtreeTraits {
  using Map = absl::btree_map<uint64_t, Vma*, std::less<>, CountingPairs>;
  static constexpr const char* kName = "absl::btree_map";
};
struct RedBlackTraits {
  using Map = std::map<uint64_t, Vma*, std::less<>, CountingPairs>;
  static constexpr const char* kName = "std::map";
};

/// An ordered map from a VMA's start. Takes no lock, unlike its use in a fault would have to.
template <class Traits>
class Ordered {
 public:
  static constexpr const char* kName = Traits::kName;

  Ordered() : map_(CountingPairs(bytes_.get())) {}

  void Insert(Vma& vma) { map_.emplace(vma.start().value(), &vma); }
  void Erase(const Vma& vma) { map_.erase(vma.start().value()); }
  [[nodiscard]] uint64_t Find(uint64_t address) const {
    auto it = map_.upper_bound(address);
    if (it == map_.begin()) return 0;
    --it;
    return it->second->end().value() > address ? it->second->start().value() : 0;
  }
  [[nodiscard]] size_t Walk() const {
    size_t count = 0;
    for (const auto& [start, vma] : map_) count += vma != nullptr ? 1 : 0;
    return count;
  }
  [[nodiscard]] size_t bytes() const { return *bytes_; }

 private:
  std::unique_ptr<size_t> bytes_ = std::make_unique<size_t>(0);
  typename Traits::Map map_;
};

using Btree = Ordered<BtreeTraits>;
using RedBlack = Ordered<RedBlackTraits>;

/// The map as readers beside a writer could use it.
class LockedBtree {
 public:
  static constexpr const char* kName = "btree, shared_mutex";

  void Insert(Vma& vma) {
    const std::lock_guard guard(mutex_);
    map_.Insert(vma);
  }
  void Erase(const Vma& vma) {
    const std::lock_guard guard(mutex_);
    map_.Erase(vma);
  }
  [[nodiscard]] uint64_t Find(uint64_t address) const {
    const std::shared_lock guard(mutex_);
    return map_.Find(address);
  }

 private:
  mutable std::shared_mutex mutex_;
  Btree map_;
};

/// VMAs, inserted in random order.
template <class Index>
struct Filled {
  explicit Filled(size_t count) : vmas(count) {
    std::vector<Vma*> order;
    for (size_t i = 0; i < count; ++i) {
      const VirtAddr start(i * kVmaStride);
      vmas[i].SetRange(VirtRange(start, start + kVmaBytes), PageIndex(i));
      order.push_back(&vmas[i]);
    }
    std::shuffle(order.begin(), order.end(), std::mt19937_64(7));
    for (Vma* vma : order) index.Insert(*vma);
  }
  /// An address inside one of the VMAs.
  [[nodiscard]] uint64_t AnyAddress(QuickRandom& random) const {
    return random.Below(vmas.size()) * kVmaStride + random.Below(kVmaBytes);
  }
  /// Takes a VMA out and puts it back.
  void EraseAndInsert(QuickRandom& random) {
    Vma& vma = vmas[random.Below(vmas.size())];
    index.Erase(vma);
    index.Insert(vma);
  }

  std::vector<Vma> vmas;
  Index index;
};

}  // namespace faultline::bench
