// SPDX-License-Identifier: Apache-2.0
//
// Maple tree: an RCU-safe B-tree of ranges (Linux: lib/maple_tree.c). It maps each index of
// [0, 2^64) to a value or to nothing; neighbouring indices of one value form an entry, those of
// none a gap. Entries are set by range: one Store replaces whatever the range covered.
//
// Readers take no lock and write no shared memory. Writers, one at a time under a lock of theirs,
// never change what a reader may be looking at: they build new nodes beside the old ones, make them
// visible with one store of a pointer, and retire the old ones through RCU. Leaves are immutable
// once visible; an inner node changes in place only by such a pointer store, which exchanges a
// child for one that covers the same range, and in its gap sizes, which only writers read.
//
// Invariants: a node's children cover its range without holes; two gaps are never neighbours,
// across leaves neither; an inner node knows for each child the size of the greatest gap below it;
// all leaves have the same depth. Guarantee: a reader sees the tree as it was before or as it was
// after any Store, never between.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace maple {
struct Node;
struct RetireBatch;
class Store;
}  // namespace maple

class MapleTree {
 public:
  static constexpr uint64_t kMaxIndex = UINT64_MAX;

  /// A range of indices with one value, or a gap if the value is null. Both ends are inclusive.
  struct Entry {
    uint64_t first;
    uint64_t last;
    void* value;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  /// An empty tree without a node yet: Init comes before any other use. `heap` gives the nodes; it
  /// outlives the tree and the grace periods that the tree asked for (Rcu::Barrier).
  explicit MapleTree(Heap& heap) : heap_(heap) {}
  /// Frees all nodes at once: no reader is left, and none will come. Values are not touched.
  ~MapleTree();
  /// Makes the root. ENOMEM leaves nothing behind.
  [[nodiscard]] Result<void> Init();
  MapleTree(const MapleTree&) = delete;
  MapleTree& operator=(const MapleTree&) = delete;

  // -- Readers: inside an RCU section, or under the writers' lock ---------------------------------

  /// The value at `index`, or null.
  [[nodiscard]] void* Find(uint64_t index) const;
  /// The entry or gap that `index` lies in.
  [[nodiscard]] Entry Lookup(uint64_t index) const;
  /// The first entry that ends at or after `index`; its value is null if there is none.
  [[nodiscard]] Entry FindFrom(uint64_t index) const;
  /// The last entry that begins at or before `index`; its value is null if there is none.
  [[nodiscard]] Entry FindBackFrom(uint64_t index) const;

  // -- Writers: under their lock ------------------------------------------------------------------

  /// Sets aside the memory that Store(first, last, ...) needs, so that it cannot fail; kept until
  /// used. ENOMEM leaves the tree as it is.
  [[nodiscard]] Result<void> Reserve(uint64_t first, uint64_t last);
  /// Sets [first, last] to `value`, null for a gap. The memory was set aside by Reserve for this
  /// range since the last Store.
  void Store(uint64_t first, uint64_t last, void* value);

  /// The lowest (Up) or highest (Down) `first` such that [first, first + size - 1] is a gap within
  /// [min, max]; nothing if there is none. `size` is at least 1.
  [[nodiscard]] std::optional<uint64_t> FindGapUp(uint64_t min, uint64_t max, uint64_t size) const;
  [[nodiscard]] std::optional<uint64_t> FindGapDown(uint64_t min, uint64_t max,
                                                    uint64_t size) const;

  /// Aborts if an invariant of the tree does not hold. Visits every node.
  void Validate() const;

  /// Nodes in the tree now, and bytes per node: for accounting.
  [[nodiscard]] size_t node_count() const { return node_count_; }
  static constexpr size_t kNodeBytes = 512;

 private:
  friend class maple::Store;

  [[nodiscard]] Result<void*> AllocateNode() { return heap_.Allocate(kNodeBytes, kNodeBytes); }
  void FreeNode(void* node) { heap_.Free(node, kNodeBytes, kNodeBytes); }
  void FreeSubtree(maple::Node* node);
  [[nodiscard]] uint32_t NodesNeeded(uint64_t first, uint64_t last) const;

  Heap& heap_;
  Atomic<maple::Node*> root_{nullptr};
  // Writers only:
  uint32_t height_ = 0;  // inner levels
  uint32_t spare_count_ = 0;
  size_t node_count_ = 0;
  void* spares_ = nullptr;                 // nodes set aside by Reserve, linked by their first word
  maple::RetireBatch* retired_ = nullptr;  // unlinked nodes not yet handed to RCU
};

}  // namespace faultline
