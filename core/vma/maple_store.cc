// SPDX-License-Identifier: Apache-2.0
//
// How a MapleTree is written (Linux: the mas_wr_* and mas_spanning_* functions of
// lib/maple_tree.c).
//
// A Store replaces, in the leaves at the two ends of its range, what the range covers, and drops
// all that lies between. New leaves are built from what is kept; from there it goes up: as long as
// the number or the ends of a node's children change, that node is built anew, too. It ends where
// one child takes the place of one with the same range, with one pointer store, or at the root.
// Until that store readers see the old tree, from then on the new one.
//
// A node that gets too small is joined with a neighbour of the same parent while it is being
// rebuilt.
#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "core/base/check.h"
#include "core/vma/maple_node.h"
#include "core/vma/maple_tree.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace maple {

/// Unlinked nodes on their way through one grace period, so that a grace period is asked for once
/// per batch. Lives in a node's memory itself.
struct RetireBatch {
  /// A batch is handed over when it has this many; the modelled build does not save up.
  static constexpr uint32_t kEnough = kModelled ? 1 : 32;

  explicit RetireBatch(Heap& nodes_heap) : heap(&nodes_heap) {}

  RcuHead rcu;  // first: the callback gets its address
  Heap* heap;
  uint32_t count = 0;
  std::array<Node*, kEnough> node;

  static void Free(RcuHead* head) {
    auto* batch = reinterpret_cast<RetireBatch*>(head);
    Heap& heap = *batch->heap;
    for (uint32_t i = 0; i < batch->count; ++i) {
      heap.Free(batch->node[i], MapleTree::kNodeBytes, MapleTree::kNodeBytes);
    }
    heap.Free(batch, MapleTree::kNodeBytes, MapleTree::kNodeBytes);
  }
};
static_assert(sizeof(RetireBatch) <= MapleTree::kNodeBytes);

/// A list of bounded size on the stack.
template <class T, size_t kMax>
class Gather {
 public:
  void Push(const T& item) {
    MM_DCHECK_LT(size_, kMax);
    items_[size_++] = item;
  }
  void PushFront(const T& item) {
    MM_DCHECK_LT(size_, kMax);
    std::copy_backward(items_.begin(), items_.begin() + size_, items_.begin() + size_ + 1);
    items_[0] = item;
    ++size_;
  }
  void Clear() { size_ = 0; }
  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] const T& operator[](uint32_t i) const { return items_[i]; }

 private:
  uint32_t size_ = 0;
  std::array<T, kMax> items_;
};

/// One Store in progress.
class Store {
 public:
  explicit Store(MapleTree& tree) : tree_(tree) {}

  void Run(uint64_t first, uint64_t last, void* value);

 private:
  static constexpr uint32_t kMaxHeight = 16;

  struct Position {
    Inner* node;
    uint32_t index;
    uint64_t first;  ///< where the node's range begins

    /// Where the range of the child at `index` begins.
    [[nodiscard]] uint64_t ChildFirst() const {
      return index == 0 ? first : node->last[index - 1] + 1;
    }
  };
  /// From the root down to the leaf that an index lies in.
  struct Path {
    std::array<Position, kMaxHeight> inner;
    Leaf* leaf;
  };

  [[nodiscard]] Path Descend(uint64_t index) const;
  /// Where the range of that path's leaf begins.
  [[nodiscard]] uint64_t LeafFirst(const Path& path) const {
    return tree_.height_ == 0 ? 0 : path.inner[tree_.height_ - 1].ChildFirst();
  }
  void WidenGap(uint64_t& first, uint64_t& last) const;
  void GatherItems(uint64_t first, uint64_t last, void* value);
  void AppendItems(const Leaf& leaf, uint32_t from);
  void JoinLeaf();
  void BuildLeaves();
  [[nodiscard]] bool Climb();
  [[nodiscard]] bool ReplaceInPlace(uint32_t level);
  void GatherChildren(uint32_t level);
  void AppendChildren(const Inner& node, uint32_t from, uint32_t to);
  void JoinInner(uint32_t level);
  void BuildInners(uint32_t level);
  void BuildRoot();
  void UpdateGaps(uint32_t level);
  void DropBetween(uint32_t level);
  void RetireSubtree(Node* node);
  void RetireNode(Node* node);
  void HandOverUnlinked();
  [[nodiscard]] Child FillInner(Inner& inner, uint32_t from, uint32_t to);

  template <class T>
  T* NewNode(uint32_t level);

  MapleTree& tree_;
  Path left_;
  Path right_;
  Gather<Item, 2 * kLeafSlots + 3> items_;       // of the leaves being rebuilt
  Gather<Child, 2 * kInnerSlots + 8> children_;  // of the inner nodes being rebuilt
  Gather<Child, 4> built_;                       // what takes the place of what was rebuilt
  Node* unlinked_ = nullptr;                     // what was rebuilt or dropped
};

namespace {

/// A child, for writers.
Node* ChildOf(const Inner& node, uint32_t i) {
  return node.child[i].Load(kRelaxed);  // relaxed: under the writers' lock
}

/// Into how many nodes of at most `max` a number of entries goes.
uint32_t NodesFor(uint32_t count, uint32_t max) { return (count + max - 1) / max; }

}  // namespace

void Store::Run(uint64_t first, uint64_t last, void* value) {
  MM_DCHECK_LE(first, last);
  if (value == nullptr) WidenGap(first, last);
  left_ = Descend(first);
  right_ = Descend(last);
  GatherItems(first, last, value);
  BuildLeaves();
  if (!Climb()) BuildRoot();
  HandOverUnlinked();
}

Store::Path Store::Descend(uint64_t index) const {
  Path path;
  uint64_t first = 0;
  Node* node = tree_.root_.Load(kRelaxed);  // relaxed: under the writers' lock
  for (uint32_t level = 0; level < tree_.height_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    path.inner[level] = {inner, SlotOf(*inner, index), first};
    first = path.inner[level].ChildFirst();
    node = inner->child[path.inner[level].index].Load(kRelaxed);  // relaxed: as above
  }
  path.leaf = static_cast<Leaf*>(node);
  return path;
}

/// A new gap takes in the gaps beside it, so that no two gaps are neighbours.
void Store::WidenGap(uint64_t& first, uint64_t& last) const {
  const MapleTree::Entry before = tree_.Lookup(first == 0 ? 0 : first - 1);
  if (before.value == nullptr) first = before.first;
  const MapleTree::Entry after = tree_.Lookup(last == MapleTree::kMaxIndex ? last : last + 1);
  if (after.value == nullptr) last = after.last;
}

// -- Leaves ---------------------------------------------------------------------------------------

/// The entries of the left leaf before the range, the range, the entries of the right leaf behind
/// it.
void Store::GatherItems(uint64_t first, uint64_t last, void* value) {
  const Leaf& left = *left_.leaf;
  const uint32_t l = SlotOf(left, first);
  for (uint32_t i = 0; i < l; ++i) items_.Push({left.last[i], left.value[i]});
  const uint64_t l_first = l == 0 ? LeafFirst(left_) : left.last[l - 1] + 1;
  if (l_first < first) items_.Push({first - 1, left.value[l]});
  items_.Push({last, value});
  const Leaf& right = *right_.leaf;
  const uint32_t r = SlotOf(right, last);
  AppendItems(right, right.last[r] > last ? r : r + 1);

  RetireNode(left_.leaf);
  if (right_.leaf != left_.leaf) RetireNode(right_.leaf);
  if (tree_.height_ == 0) return;
  DropBetween(tree_.height_ - 1);
  if (items_.size() < kLeafMin) JoinLeaf();
}

void Store::AppendItems(const Leaf& leaf, uint32_t from) {
  for (uint32_t i = from; i < leaf.count; ++i) items_.Push({leaf.last[i], leaf.value[i]});
}

void Store::JoinLeaf() {
  Position& right = right_.inner[tree_.height_ - 1];
  Position& left = left_.inner[tree_.height_ - 1];
  if (right.index + 1 < right.node->count) {
    auto* sibling = static_cast<Leaf*>(ChildOf(*right.node, ++right.index));
    AppendItems(*sibling, 0);
    RetireNode(sibling);
  } else if (left.index > 0) {
    auto* sibling = static_cast<Leaf*>(ChildOf(*left.node, --left.index));
    for (uint32_t i = sibling->count; i-- > 0;) {
      items_.PushFront({sibling->last[i], sibling->value[i]});
    }
    RetireNode(sibling);
  }
}

void Store::BuildLeaves() {
  uint64_t first = LeafFirst(left_);  // a joined neighbour has moved it
  const uint32_t nodes = NodesFor(items_.size(), kLeafSlots);
  uint32_t next = 0;
  for (uint32_t n = 0; n < nodes; ++n) {
    Leaf* leaf = NewNode<Leaf>(0);
    const uint32_t end = items_.size() * (n + 1) / nodes;
    uint64_t gap = 0;
    for (; next < end; ++next) {
      const Item& item = items_[next];
      leaf->last[leaf->count] = item.last;
      leaf->value[leaf->count] = item.value;
      ++leaf->count;
      if (item.value == nullptr) gap = std::max(gap, LengthOf(first, item.last));
      first = item.last + 1;
    }
    built_.Push({leaf->last[leaf->count - 1], leaf, gap});
  }
}

// -- Inner nodes ----------------------------------------------------------------------------------

/// Goes up from the leaves for as long as nodes have to be rebuilt. True if that ended in a pointer
/// store; false if the root itself has to be replaced.
bool Store::Climb() {
  for (uint32_t level = tree_.height_; level-- > 0;) {
    if (ReplaceInPlace(level)) return true;
    GatherChildren(level);
    BuildInners(level);
  }
  return false;
}

/// If one node took the place of one child with the same range: makes it visible right there.
bool Store::ReplaceInPlace(uint32_t level) {
  const Position& left = left_.inner[level];
  const Position& right = right_.inner[level];
  const bool one_for_one = built_.size() == 1 && left.node == right.node &&
                           left.index == right.index &&
                           built_[0].last == left.node->last[left.index];
  if (!one_for_one) return false;
  left.node->gap[left.index] = built_[0].gap;
  // Release: the new node's contents come before the pointer. Pairs with the readers' Load.
  left.node->child[left.index].Store(built_[0].node, kRelease);
  UpdateGaps(level);
  return true;
}

/// The children of the left node before the range, what was built, those of the right node behind.
void Store::GatherChildren(uint32_t level) {
  const Position& left = left_.inner[level];
  const Position& right = right_.inner[level];
  children_.Clear();
  AppendChildren(*left.node, 0, left.index);
  for (uint32_t i = 0; i < built_.size(); ++i) children_.Push(built_[i]);
  AppendChildren(*right.node, right.index + 1, right.node->count);

  RetireNode(left.node);
  if (right.node != left.node) RetireNode(right.node);
  if (level == 0) return;
  DropBetween(level - 1);
  if (children_.size() < kInnerMin) JoinInner(level - 1);
}

void Store::AppendChildren(const Inner& node, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; ++i) {
    children_.Push({node.last[i], ChildOf(node, i), node.gap[i]});
  }
}

/// Joins the node being rebuilt below `level` with a neighbour under the same parent.
void Store::JoinInner(uint32_t level) {
  Position& right = right_.inner[level];
  Position& left = left_.inner[level];
  if (right.index + 1 < right.node->count) {
    auto* sibling = static_cast<Inner*>(ChildOf(*right.node, ++right.index));
    AppendChildren(*sibling, 0, sibling->count);
    RetireNode(sibling);
  } else if (left.index > 0) {
    auto* sibling = static_cast<Inner*>(ChildOf(*left.node, --left.index));
    for (uint32_t i = sibling->count; i-- > 0;) {
      children_.PushFront({sibling->last[i], ChildOf(*sibling, i), sibling->gap[i]});
    }
    RetireNode(sibling);
  }
}

void Store::BuildInners(uint32_t level) {
  const uint32_t nodes = NodesFor(children_.size(), kInnerSlots);
  uint32_t next = 0;
  built_.Clear();
  for (uint32_t n = 0; n < nodes; ++n) {
    Inner* inner = NewNode<Inner>(tree_.height_ - level);
    const uint32_t end = children_.size() * (n + 1) / nodes;
    built_.Push(FillInner(*inner, next, end));
    next = end;
  }
}

/// Moves the gathered children [from, to) into a new node; returns it as a child.
Child Store::FillInner(Inner& inner, uint32_t from, uint32_t to) {
  uint64_t gap = 0;
  for (uint32_t i = from; i < to; ++i) {
    const Child& child = children_[i];
    inner.last[inner.count] = child.last;
    inner.child[inner.count].Store(child.node, kRelaxed);  // relaxed: not visible yet
    inner.gap[inner.count] = child.gap;
    ++inner.count;
    gap = std::max(gap, child.gap);
  }
  return {inner.last[inner.count - 1], &inner, gap};
}

/// Makes what was built the new root: one level higher if it is several nodes, lower if it is an
/// inner node with one child.
void Store::BuildRoot() {
  if (built_.size() > 1) {
    children_.Clear();
    for (uint32_t i = 0; i < built_.size(); ++i) children_.Push(built_[i]);
    ++tree_.height_;
    built_.Clear();
    Inner* root = NewNode<Inner>(tree_.height_);
    built_.Push(FillInner(*root, 0, children_.size()));
  }
  Node* root = built_[0].node;
  while (root->level != 0 && root->count == 1) {
    Node* only = ChildOf(*static_cast<Inner*>(root), 0);
    RetireNode(root);
    root = only;
    --tree_.height_;
  }
  // Release: the new nodes' contents come before the pointer. Pairs with the readers' Load.
  tree_.root_.Store(root, kRelease);
}

/// Brings the gap sizes above `level` up to date after one changed in the node there.
void Store::UpdateGaps(uint32_t level) {
  for (; level > 0; --level) {
    const Inner& node = *left_.inner[level].node;
    const uint64_t gap = *std::max_element(node.gap.begin(), node.gap.begin() + node.count);
    const Position& parent = left_.inner[level - 1];
    if (parent.node->gap[parent.index] == gap) return;
    parent.node->gap[parent.index] = gap;
  }
}

// -- What goes ------------------------------------------------------------------------------------

/// Drops the children at `level` that lie strictly between the two paths.
void Store::DropBetween(uint32_t level) {
  const Position& left = left_.inner[level];
  const Position& right = right_.inner[level];
  if (left.node == right.node) {
    for (uint32_t i = left.index + 1; i < right.index; ++i) RetireSubtree(ChildOf(*left.node, i));
    return;
  }
  for (uint32_t i = left.index + 1; i < left.node->count; ++i) {
    RetireSubtree(ChildOf(*left.node, i));
  }
  for (uint32_t i = 0; i < right.index; ++i) RetireSubtree(ChildOf(*right.node, i));
}

void Store::RetireSubtree(Node* node) {
  if (node->level != 0) {
    for (uint32_t i = 0; i < node->count; ++i) {
      RetireSubtree(ChildOf(*static_cast<Inner*>(node), i));
    }
  }
  RetireNode(node);
}

/// Puts a node that this Store takes out of the tree with the others. Readers may still be in it.
void Store::RetireNode(Node* node) {
  --tree_.node_count_;
  node->next_unlinked = std::exchange(unlinked_, node);
}

/// After the new tree is visible: hands the old nodes to RCU, a batch at a time. Cannot fail:
/// without memory for a batch it waits for the grace period itself.
void Store::HandOverUnlinked() {
  while (unlinked_ != nullptr) {
    RetireBatch* batch = tree_.retired_;
    if (batch == nullptr) {
      const Result<void*> memory = tree_.AllocateNode();
      if (!memory.ok()) {
        Rcu::Synchronize();
        while (Node* node = unlinked_) {
          unlinked_ = node->next_unlinked;
          tree_.FreeNode(node);
        }
        return;
      }
      batch = tree_.retired_ = new (*memory) RetireBatch(tree_.heap_);
    }
    Node* node = unlinked_;
    unlinked_ = node->next_unlinked;
    batch->node[batch->count++] = node;
    if (batch->count >= RetireBatch::kEnough) {
      tree_.retired_ = nullptr;
      Rcu::Retire(batch->rcu, &RetireBatch::Free);
    }
  }
}

template <class T>
T* Store::NewNode(uint32_t level) {
  MM_CHECK(tree_.spares_ != nullptr);  // Reserve was called for this range
  void* memory = tree_.spares_;
  tree_.spares_ = *static_cast<void**>(memory);
  --tree_.spare_count_;
  ++tree_.node_count_;
  T* node = new (memory) T;
  node->last.fill(MapleTree::kMaxIndex);
  node->level = static_cast<uint16_t>(level);
  return node;
}

}  // namespace maple

// -- MapleTree's side -----------------------------------------------------------------------------

Result<void> MapleTree::Init() {
  const Result<void*> memory = AllocateNode();
  if (!memory.ok()) return memory.error();
  auto* leaf = new (*memory) maple::Leaf;
  leaf->last.fill(kMaxIndex);
  leaf->count = 1;
  leaf->last[0] = kMaxIndex;
  leaf->value[0] = nullptr;
  node_count_ = 1;
  root_.Store(leaf, kRelease);  // pairs with the readers' Load
  return {};
}

MapleTree::~MapleTree() {
  if (maple::Node* root = root_.Load(kRelaxed)) FreeSubtree(root);  // relaxed: nobody else is left
  while (void* spare = spares_) {
    spares_ = *static_cast<void**>(spare);
    FreeNode(spare);
  }
  if (retired_ != nullptr) maple::RetireBatch::Free(&retired_->rcu);
}

void MapleTree::FreeSubtree(maple::Node* node) {
  if (node->level != 0) {
    for (uint32_t i = 0; i < node->count; ++i) {
      FreeSubtree(maple::ChildOf(*static_cast<maple::Inner*>(node), i));
    }
  }
  FreeNode(node);
}

/// How many nodes Store(first, last, ...) may need.
uint32_t MapleTree::NodesNeeded(uint64_t first, uint64_t last) const {
  // Three in each level for what is rebuilt there, and a new root.
  const uint32_t worst = 3 * (height_ + 1) + 1;
  const maple::Node* node = root_.Load(kRelaxed);  // relaxed: under the writers' lock
  uint64_t leaf_first = 0;
  for (uint32_t level = 0; level < height_; ++level) {
    const auto& inner = *static_cast<const maple::Inner*>(node);
    const uint32_t i = maple::SlotOf(inner, first);
    if (i > 0) leaf_first = inner.last[i - 1] + 1;
    node = inner.child[i].Load(kRelaxed);  // relaxed: as above
  }
  const auto& leaf = *static_cast<const maple::Leaf*>(node);
  // The usual case: the range and its neighbours lie in one leaf, which neither overflows nor gets
  // too small.
  const bool reaches_left = first == leaf_first && first != 0;
  const uint64_t leaf_last = leaf.last[leaf.count - 1];
  const bool reaches_right = last > leaf_last || (last == leaf_last && last != kMaxIndex);
  if (reaches_left || reaches_right) return worst;
  const uint32_t covered = maple::SlotOf(leaf, last) - maple::SlotOf(leaf, first);
  const bool fits = leaf.count + 2 - covered <= maple::kLeafSlots;
  const bool stays = height_ == 0 || leaf.count >= covered + 2 + maple::kLeafMin;
  return fits && stays ? 1 : worst;
}

Result<void> MapleTree::Reserve(uint64_t first, uint64_t last) {
  const uint32_t needed = NodesNeeded(first, last);
  while (spare_count_ < needed) {
    const Result<void*> memory = AllocateNode();
    if (!memory.ok()) return memory.error();
    *static_cast<void**>(*memory) = std::exchange(spares_, *memory);
    ++spare_count_;
  }
  return {};
}

void MapleTree::Store(uint64_t first, uint64_t last, void* value) {
  maple::Store(*this).Run(first, last, value);
}

}  // namespace faultline
