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
//
// Memory: retired nodes come back to their tree. After their grace period RCU's callback merely
// marks a batch of them; the writer takes it when it next runs short. So a busy writer shares no
// lock and no list with anybody.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/sync/sync.h"
#include "core/vma/maple_pool.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace maple {

struct Leaf;
struct Node;
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
  explicit MapleTree(Heap& heap) : heap_(heap), pool_(heap) {}
  /// Frees the nodes: no reader is left, and none will come. Does not sleep: what still waits for a
  /// grace period is freed at its end, by RCU's callback. Values are not touched.
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

  /// Sets aside the memory that the next Store needs, if that is Store(first, last, ...), so that
  /// it cannot fail; kept until used. ENOMEM leaves the tree as it is. Usually a comparison; may
  /// sleep for a grace period when memory is short or 4 MB of nodes wait for one, so the caller is
  /// in nothing that a read section could be waiting for.
  [[nodiscard]] Result<void> Reserve(uint64_t first, uint64_t last);
  /// The same for the next `stores` Stores, whatever their ranges (a mapping over the middle of
  /// another takes three). Reservations do not add up: each counts from the tree as it is now.
  [[nodiscard]] Result<void> ReserveStores(uint32_t stores);
  /// Sets [first, last] to `value`, null for a gap. The memory was set aside by Reserve for this
  /// range since the last Store, or by ReserveStores. Does not sleep.
  void Store(uint64_t first, uint64_t last, void* value);

  /// The lowest (Up) or highest (Down) `first` such that [first, first + size - 1] is a gap within
  /// [min, max]; nothing if there is none. `size` is at least 1.
  [[nodiscard]] std::optional<uint64_t> FindGapUp(uint64_t min, uint64_t max, uint64_t size) const;
  [[nodiscard]] std::optional<uint64_t> FindGapDown(uint64_t min, uint64_t max,
                                                    uint64_t size) const;

  /// Aborts if an invariant of the tree does not hold. Visits every node.
  void Validate() const;

  /// Nodes in the tree now, and bytes per node: for accounting. The tree holds more than these: see
  /// maple::NodePool.
  [[nodiscard]] size_t node_count() const { return node_count_; }
  static constexpr size_t kNodeBytes = maple::NodePool::kNodeBytes;

 private:
  friend class maple::Store;
  friend class MapleCursor;

  struct LeafPosition;
  [[nodiscard]] LeafPosition Descend(uint64_t index) const;
  void FreeSubtree(maple::Node* node);
  [[nodiscard]] uint32_t NodesNeeded(uint64_t first, uint64_t last) const;

  // Readers', and written only when the root is another node.
  Heap& heap_;
  Atomic<maple::Node*> root_{nullptr};
  // Writers only, at every store: apart, or the reader of a subtree that did not change would have
  // to fetch the root from the writer's cache.
  alignas(kCacheLinePad) uint32_t height_ = 0;  // inner levels
  uint32_t stores_ = 0;                         // for cursors to notice that they are stale
  size_t node_count_ = 0;
  maple::NodePool pool_;
};

/// Walks a tree in order, entries and gaps alike, in a few ns per step (Linux: ma_state and the
/// mas_next family). Under the writers' lock; invalid after a Store until Seek is called again,
/// which checked builds check.
class MapleCursor {
 public:
  /// At the entry or gap that `index` lies in.
  explicit MapleCursor(const MapleTree& tree, uint64_t index = 0) : tree_(tree) { Seek(index); }

  /// Where the cursor is.
  [[nodiscard]] const MapleTree::Entry& entry() const { return entry_; }
  void Seek(uint64_t index);
  /// Whether there was a Store since the last Seek.
  [[nodiscard]] bool is_stale() const { return stores_ != tree_.stores_; }
  /// To the entry or gap behind, or before; false and no move at the end of the index space.
  bool Next();
  bool Prev();
  /// To the next entry with a value, behind or before; false if there is none, and then the cursor
  /// is at the gap that ends the index space, or did not move.
  bool NextValue() { return Next() && (entry_.value != nullptr || Next()); }
  bool PrevValue() { return Prev() && (entry_.value != nullptr || Prev()); }

 private:
  const MapleTree& tree_;
  const maple::Leaf* leaf_ = nullptr;
  uint64_t leaf_first_ = 0;  // where the leaf's range begins
  uint32_t slot_ = 0;
  uint32_t stores_ = 0;  // the tree's, when the leaf was found
  MapleTree::Entry entry_{};
};

}  // namespace faultline
