// SPDX-License-Identifier: Apache-2.0
//
// Where a maple tree's nodes come from and go to (Linux: mas_preallocate and ma_free_rcu of
// lib/maple_tree.c). Internal to core/vma's maple tree.
//
// Nodes that a store took out wait in batches for a grace period. RCU's callback only marks a batch
// ripe; the writer, when it next wants spares, takes the nodes over. So nodes circulate within
// their tree, and a busy writer shares no lock and no list with anybody. In the modelled build the
// callback gives the nodes back to the heap at once, so that a late reader is noticed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/sync/heap.h"

namespace faultline::inline FAULTLINE_FLAVOUR::maple {

struct Node;
struct RetireBatch;

/// The memory of one tree's nodes: those set aside for its next stores, and those that were taken
/// out of the tree and wait for a grace period. Internal to the tree; used under its writers' lock.
///
/// It holds at most what was last set aside, the open batch, and kMaxWaiting batches; more than
/// that makes SetAside wait for a grace period. A writer that has become slow gives batches back.
class NodePool {
 public:
  static constexpr size_t kNodeBytes = 512;

  /// `heap` outlives the pool and the grace periods that it asked for.
  explicit NodePool(Heap& heap) : heap_(heap) {}
  /// Does not sleep: batches that still wait are left to their callbacks.
  ~NodePool();
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;

  /// Whether HandOver could; SetAside sees to it.
  [[nodiscard]] bool CanHandOver() const { return free_batches_ != nullptr; }
  /// Takes over what is ripe until there are that many spares; whether there are.
  bool Refill(uint32_t wanted);
  /// Refill, then from the heap. ENOMEM keeps what it got. May sleep.
  [[nodiscard]] Result<void> SetAside(uint32_t wanted);
  /// A spare node, of which there is one: unconstructed memory.
  [[nodiscard]] void* Take();
  /// Puts a node that no longer belongs to the tree into the open batch. Readers may be in it.
  void Retire(Node* node);
  /// Hands the open batch to RCU if it is full. Only after the nodes in it became unreachable.
  void HandOver();

 private:
  /// Nodes that make a batch full; the modelled build does not save up. liburcu's callbacks come
  /// every 10 ms at most, so that larger batches would save nothing.
  static constexpr uint32_t kFull = kModelled ? 1 : 58;
  /// A batch of more nodes frees them: one store has dropped a large part of the tree.
  static constexpr uint32_t kLarge = 8 * kFull;
  /// Batches to keep however slow the writer is, and to have waiting at most: 4 MB of nodes.
  static constexpr uint32_t kKeep = 8;
  static constexpr uint32_t kMaxWaiting = 128;

  [[nodiscard]] Result<void> AddFromHeap();
  bool TakeOldestBatch();
  void TrimWaiting();
  RetireBatch* PopWaiting();
  void Recycle(RetireBatch* batch);
  void WaitForGracePeriod();

  Heap& heap_;
  uint32_t spare_count_ = 0;
  uint32_t waiting_count_ = 0;
  uint32_t known_ripe_ = 0;  // of the waiting, oldest first: the writer itself waited for these
  Node* spares_ = nullptr;
  RetireBatch* open_ = nullptr;          // never null while there is a spare
  RetireBatch* free_batches_ = nullptr;  // without nodes
  RetireBatch* oldest_waiting_ = nullptr;
  RetireBatch* newest_waiting_ = nullptr;
};

}  // namespace faultline::inline FAULTLINE_FLAVOUR::maple
