// SPDX-License-Identifier: Apache-2.0
//
// Batches of retired nodes and the pool that they return to; see maple_pool.h.
//
// A batch has one word that callback and owner exchange: whoever comes second frees it, so neither
// ever waits for the other. Everything else is the writer's alone.
#include "core/vma/maple_pool.h"

#include <new>
#include <utility>

#include "core/base/check.h"
#include "core/sync/rcu.h"
#include "core/vma/maple_node.h"

namespace faultline::inline FAULTLINE_FLAVOUR::maple {

/// Retired nodes on their way through one grace period. Its memory is not a node's: readers may be
/// in those.
struct RetireBatch {
  enum State : uint32_t { kWaiting, kRipe, kAbandoned };

  explicit RetireBatch(Heap& nodes_heap) : heap(&nodes_heap) {}

  /// RCU's callback.
  static void AfterGracePeriod(RcuHead* head) {
    auto* batch = reinterpret_cast<RetireBatch*>(head);  // rcu is the first member
    // At once, so that a late reader is noticed. The writer then gets back an empty batch.
    if constexpr (kModelled) batch->FreeNodes();
    // Both ends hand over to the other: acquire pairs with Abandon, release with TakeOldestBatch
    // and Abandon.
    if (batch->state.Exchange(kRipe, kAcqRel) == kAbandoned) batch->Free();
  }

  /// The owner is done with it. What is left is freed now or, if the callback is yet to come, then.
  void Abandon() {
    // Acquire and release: pairs with AfterGracePeriod, as there.
    if (state.Exchange(kAbandoned, kAcqRel) == kRipe) Free();
  }

  void FreeNodes() {
    while (Node* node = nodes) {
      nodes = node->next_free;
      heap->Free(node, NodePool::kNodeBytes, NodePool::kNodeBytes);
    }
    count = 0;
  }

  void Free() {
    FreeNodes();
    heap->Delete(this);
  }

  RcuHead rcu;  // first: the callback gets its address
  Heap* heap;
  Node* nodes = nullptr;      // linked by next_free
  Node* last_node = nullptr;  // of that list
  RetireBatch* next = nullptr;
  uint32_t count = 0;
  /// Whoever comes second, callback or owner, frees the batch; see AfterGracePeriod and Abandon.
  Atomic<uint32_t> state{kWaiting};
};
static_assert(sizeof(RetireBatch) <= kCacheLine);

NodePool::~NodePool() {
  while (Node* spare = spares_) {
    spares_ = spare->next_free;
    heap_.Free(spare, kNodeBytes, kNodeBytes);
  }
  while (RetireBatch* batch = free_batches_) {
    free_batches_ = batch->next;
    batch->Free();
  }
  if (open_ != nullptr) open_->Free();
  while (RetireBatch* batch = PopWaiting()) batch->Abandon();
}

bool NodePool::Refill(uint32_t wanted) {
  while (spare_count_ < wanted) {
    if (!TakeOldestBatch()) return false;
  }
  return true;
}

Result<void> NodePool::SetAside(uint32_t wanted) {
  if (free_batches_ == nullptr) {  // also when there are spares: the next HandOver wants one
    const Result<RetireBatch*> batch = heap_.New<RetireBatch>(heap_);
    if (batch.ok()) free_batches_ = *batch;
  }
  if (open_ == nullptr) {
    if (free_batches_ == nullptr) return Errno::kEnomem;
    open_ = std::exchange(free_batches_, free_batches_->next);
  }
  if (Refill(wanted)) return {};
  if (waiting_count_ >= kMaxWaiting) {
    WaitForGracePeriod();
    (void)Refill(wanted);
  }
  while (spare_count_ < wanted) {
    const Result<void> added = AddFromHeap();
    if (added.ok()) continue;
    if (waiting_count_ == 0 && open_->count == 0) return added.error();
    WaitForGracePeriod();
    (void)Refill(wanted);
  }
  return {};
}

Result<void> NodePool::AddFromHeap() {
  const Result<void*> memory = heap_.Allocate(kNodeBytes, kNodeBytes);
  if (!memory.ok()) return memory.error();
  Node* node = new (*memory) Node;
  node->next_free = std::exchange(spares_, node);
  ++spare_count_;
  return {};
}

void* NodePool::Take() {
  MM_CHECK(spares_ != nullptr);  // Reserve was called for this range
  Node* node = spares_;
  spares_ = node->next_free;
  --spare_count_;
  // The next one is wanted soon, and has usually gone from the cache in its grace period.
  PrefetchNode<Access::kWrite>(spares_);
  return node;
}

void NodePool::Retire(Node* node) {
  if (open_->nodes == nullptr) open_->last_node = node;
  node->next_free = std::exchange(open_->nodes, node);
  ++open_->count;
}

void NodePool::HandOver() {
  // Without a batch to go on with, the open one grows until the next SetAside has found one.
  if (open_->count < kFull || free_batches_ == nullptr) return;
  RetireBatch* batch = std::exchange(open_, free_batches_);
  free_batches_ = open_->next;
  open_->next = nullptr;
  if (batch->count > kLarge) {
    batch->state.Store(RetireBatch::kAbandoned, kRelaxed);  // relaxed: Retire orders it
  } else {
    TrimWaiting();
    if (newest_waiting_ != nullptr) newest_waiting_->next = batch;
    if (oldest_waiting_ == nullptr) oldest_waiting_ = batch;
    newest_waiting_ = batch;
    ++waiting_count_;
  }
  Rcu::Retire(batch->rcu, &RetireBatch::AfterGracePeriod);
}

/// Makes the nodes of the oldest waiting batch spares, if it is ripe.
bool NodePool::TakeOldestBatch() {
  RetireBatch* batch = oldest_waiting_;
  if (batch == nullptr) return false;
  // Acquire: pairs with AfterGracePeriod; what readers did in the nodes comes before.
  const bool called_back = batch->state.Load(kAcquire) == RetireBatch::kRipe;
  if (!called_back && known_ripe_ == 0) return false;
  (void)PopWaiting();
  if (batch->nodes != nullptr) {
    batch->last_node->next_free = std::exchange(spares_, batch->nodes);
    spare_count_ += batch->count;
    batch->nodes = nullptr;
    batch->count = 0;
  }
  if (called_back) {
    Recycle(batch);
  } else {
    batch->Abandon();
  }
  return true;
}

/// If even the newest waiting batch is ripe, grace periods are faster than the writer, and so many
/// batches are not needed: frees some of them.
void NodePool::TrimWaiting() {
  // Relaxed: a hint.
  if (waiting_count_ <= kKeep || newest_waiting_->state.Load(kRelaxed) != RetireBatch::kRipe)
    return;
  for (int i = 0; i < 2; ++i) {
    RetireBatch* batch = PopWaiting();
    batch->Abandon();
  }
}

RetireBatch* NodePool::PopWaiting() {
  RetireBatch* batch = oldest_waiting_;
  if (batch == nullptr) return nullptr;
  oldest_waiting_ = std::exchange(batch->next, nullptr);
  if (oldest_waiting_ == nullptr) newest_waiting_ = nullptr;
  if (known_ripe_ > 0) --known_ripe_;
  --waiting_count_;
  return batch;
}

/// An empty batch whose callback has been.
void NodePool::Recycle(RetireBatch* batch) {
  batch->state.Store(RetireBatch::kWaiting, kRelaxed);  // relaxed: the callback has been
  batch->next = std::exchange(free_batches_, batch);
}

/// Afterwards everything that waited is ripe, and what was in the open batch is spare.
void NodePool::WaitForGracePeriod() {
  Rcu::Synchronize();
  known_ripe_ = waiting_count_;
  if (open_->nodes == nullptr) return;
  open_->last_node->next_free = std::exchange(spares_, open_->nodes);
  spare_count_ += std::exchange(open_->count, 0);
  open_->nodes = nullptr;
}

}  // namespace faultline::inline FAULTLINE_FLAVOUR::maple
