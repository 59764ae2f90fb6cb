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
//
// Most stores change one leaf, which neither overflows nor gets too small. They have a path of
// their own, which copies what stays of the leaf and looks at the greatest gap only where it may
// have changed.
#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "core/vma/maple_node.h"
#include "core/vma/maple_tree.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace maple {
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
    uint64_t leaf_first;  ///< where the leaf's range begins

    void Descend(const MapleTree& tree, uint64_t index);
  };
  /// How a leaf changes: entries [0, keep) stay, then comes what is left of the next one, if it
  /// begins before the range; the range itself; then entries [rest, count) as they are.
  struct LeafEdit {
    uint64_t first;  ///< of the range
    uint64_t last;
    void* value;
    uint32_t keep;
    uint32_t rest;
    bool has_head;      ///< whether something is left of entry `keep` before the range
    uint64_t lost_gap;  ///< the greatest gap that the range takes from
    [[nodiscard]] uint32_t CountIn(const Leaf& old) const {
      return keep + (has_head ? 1 : 0) + 1 + (old.count - rest);
    }
  };

  [[nodiscard]] bool StoreInLeaf(uint64_t first, uint64_t last, void* value);
  [[nodiscard]] std::optional<LeafEdit> PlanEdit(uint64_t first, uint64_t last, void* value) const;
  [[nodiscard]] bool GapEndsWithLeaf(uint64_t first, uint64_t last) const;
  [[nodiscard]] Leaf* BuildEdited(const LeafEdit& edit);
  [[nodiscard]] uint64_t GapAfter(const LeafEdit& edit, const Leaf& leaf) const;
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
  void SetGap(uint32_t level, uint64_t gap);
  void DropBetween(uint32_t level);
  void RetireSubtree(Node* node);
  void RetireNode(Node* node);
  [[nodiscard]] Child FillInner(Inner& inner, uint32_t from, uint32_t to);

  template <class T>
  T* NewNode(uint32_t level);

  MapleTree& tree_;
  Path left_;
  Path right_;
  Gather<Item, 2 * kLeafSlots + 3> items_;       // of the leaves being rebuilt
  Gather<Child, 2 * kInnerSlots + 8> children_;  // of the inner nodes being rebuilt
  Gather<Child, 4> built_;                       // what takes the place of what was rebuilt
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
  ++tree_.stores_;
  left_.Descend(tree_, first);
  if (!StoreInLeaf(first, last, value)) {
    if (value == nullptr) {
      WidenGap(first, last);
      left_.Descend(tree_, first);
    }
    right_.Descend(tree_, last);
    GatherItems(first, last, value);
    BuildLeaves();
    if (!Climb()) BuildRoot();
  }
  tree_.pool_.HandOver();  // only now: readers cannot reach the old nodes any more
}

void Store::Path::Descend(const MapleTree& tree, uint64_t index) {
  uint64_t first = 0;
  Node* node = tree.root_.Load(kRelaxed);  // relaxed: under the writers' lock
  for (uint32_t level = 0; level < tree.height_; ++level) {
    auto* parent = static_cast<Inner*>(node);
    inner[level] = {parent, SlotOf(*parent, index), first};
    first = inner[level].ChildFirst();
    node = parent->child[inner[level].index].Load(kRelaxed);  // relaxed: as above
  }
  leaf = static_cast<Leaf*>(node);
  leaf_first = first;
  PrefetchNode<Access::kRead>(leaf);  // all of it will be copied
}

// -- One leaf -------------------------------------------------------------------------------------

/// The usual store, if this is one: one leaf takes the place of one.
bool Store::StoreInLeaf(uint64_t first, uint64_t last, void* value) {
  const std::optional<LeafEdit> edit = PlanEdit(first, last, value);
  if (!edit.has_value()) return false;
  Leaf* old = left_.leaf;
  Leaf* leaf = BuildEdited(*edit);
  if (tree_.height_ == 0) {
    // Release: the new leaf's contents come before the pointer. Pairs with the readers' Load.
    tree_.root_.Store(leaf, kRelease);
  } else {
    const uint32_t level = tree_.height_ - 1;
    const Position& parent = left_.inner[level];
    parent.node->child[parent.index].Store(leaf, kRelease);  // as above
    SetGap(level, GapAfter(*edit, *leaf));
  }
  RetireNode(old);
  return true;
}

/// What [first, last] does to the leaf of the left path; nothing if not only that one changes.
std::optional<Store::LeafEdit> Store::PlanEdit(uint64_t first, uint64_t last, void* value) const {
  const Leaf& old = *left_.leaf;
  if (last > old.last[old.count - 1]) return std::nullopt;
  if (value == nullptr && GapEndsWithLeaf(first, last)) return std::nullopt;
  const uint64_t leaf_first = left_.leaf_first;
  const auto first_of = [&](uint32_t i) { return i == 0 ? leaf_first : old.last[i - 1] + 1; };
  uint32_t l = SlotOf(old, first);
  uint32_t r = last <= old.last[l] ? l : SlotOf(old, last);
  if (value == nullptr) {  // takes in the gaps beside it, so that no two are neighbours
    if (l > 0 && first == first_of(l) && old.value[l - 1] == nullptr) --l;
    if (old.value[l] == nullptr) first = first_of(l);
    if (r + 1 < old.count && last == old.last[r] && old.value[r + 1] == nullptr) ++r;
    if (old.value[r] == nullptr) last = old.last[r];
  }
  uint64_t lost_gap = 0;
  for (uint32_t i = l; i <= r; ++i) {
    if (old.value[i] == nullptr) lost_gap = std::max(lost_gap, LengthOf(first_of(i), old.last[i]));
  }
  const LeafEdit edit{.first = first,
                      .last = last,
                      .value = value,
                      .keep = l,
                      .rest = old.last[r] > last ? r : r + 1,
                      .has_head = first_of(l) < first,
                      .lost_gap = lost_gap};
  const uint32_t count = edit.CountIn(old);
  if (count > kLeafSlots || (count < kLeafMin && tree_.height_ > 0)) return std::nullopt;
  return edit;
}

/// Whether a gap there would have to take in one of a leaf beside.
bool Store::GapEndsWithLeaf(uint64_t first, uint64_t last) const {
  if (first != 0 && first == left_.leaf_first && tree_.Find(first - 1) == nullptr) return true;
  return last != MapleTree::kMaxIndex && last == left_.leaf->last[left_.leaf->count - 1] &&
         tree_.Find(last + 1) == nullptr;
}

Leaf* Store::BuildEdited(const LeafEdit& edit) {
  const Leaf& old = *left_.leaf;
  ++tree_.node_count_;
  auto* leaf = new (tree_.pool_.Take()) Leaf;
  uint32_t at = edit.keep;
  std::copy_n(old.last.begin(), at, leaf->last.begin());
  std::copy_n(old.value.begin(), at, leaf->value.begin());
  if (edit.has_head) {
    leaf->last[at] = edit.first - 1;
    leaf->value[at++] = old.value[edit.keep];
  }
  leaf->last[at] = edit.last;
  leaf->value[at++] = edit.value;
  const uint32_t rest = old.count - edit.rest;
  std::copy_n(old.last.begin() + edit.rest, rest, leaf->last.begin() + at);
  std::copy_n(old.value.begin() + edit.rest, rest, leaf->value.begin() + at);
  leaf->count = static_cast<uint16_t>(at + rest);
  std::fill(leaf->last.begin() + leaf->count, leaf->last.end(), MapleTree::kMaxIndex);
  return leaf;
}

/// The greatest gap of the leaf that came of the edit. Looks only if the store took from the one
/// that was greatest before.
uint64_t Store::GapAfter(const LeafEdit& edit, const Leaf& leaf) const {
  const Position& parent = left_.inner[tree_.height_ - 1];
  const uint64_t before = parent.node->gap[parent.index];
  if (edit.value == nullptr) return std::max(before, LengthOf(edit.first, edit.last));
  if (edit.lost_gap < before) return before;
  uint64_t first = left_.leaf_first;
  uint64_t gap = 0;
  for (uint32_t i = 0; i < leaf.count; ++i) {
    const uint64_t length = leaf.value[i] == nullptr ? LengthOf(first, leaf.last[i]) : 0;
    gap = std::max(gap, length);
    first = leaf.last[i] + 1;
  }
  return gap;
}

// -- Several leaves -------------------------------------------------------------------------------

/// A new gap takes in the gaps beside it, so that no two gaps are neighbours.
void Store::WidenGap(uint64_t& first, uint64_t& last) const {
  const MapleTree::Entry before = tree_.Lookup(first == 0 ? 0 : first - 1);
  if (before.value == nullptr) first = before.first;
  const MapleTree::Entry after = tree_.Lookup(last == MapleTree::kMaxIndex ? last : last + 1);
  if (after.value == nullptr) last = after.last;
}

/// The entries of the left leaf before the range, the range, the entries of the right leaf behind
/// it.
void Store::GatherItems(uint64_t first, uint64_t last, void* value) {
  const Leaf& left = *left_.leaf;
  const uint32_t l = SlotOf(left, first);
  for (uint32_t i = 0; i < l; ++i) items_.Push({left.last[i], left.value[i]});
  const uint64_t l_first = l == 0 ? left_.leaf_first : left.last[l - 1] + 1;
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
    left_.leaf_first = left.ChildFirst();
    RetireNode(sibling);
  }
}

void Store::BuildLeaves() {
  uint64_t first = left_.leaf_first;
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
  // Release: the new node's contents come before the pointer. Pairs with the readers' Load.
  left.node->child[left.index].Store(built_[0].node, kRelease);
  SetGap(level, built_[0].gap);
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

/// Notes the greatest gap of the left path's child at `level`, there and above, as far as it
/// changes anything.
void Store::SetGap(uint32_t level, uint64_t gap) {
  while (true) {
    const Position& here = left_.inner[level];
    Inner& node = *here.node;
    const uint64_t before = std::exchange(node.gap[here.index], gap);
    if (before == gap || level == 0) return;
    --level;
    const uint64_t greatest = left_.inner[level].node->gap[left_.inner[level].index];
    if (gap >= greatest) continue;  // it has grown to be the greatest of this node, too
    if (before < greatest) return;  // another one is the greatest
    gap = *std::max_element(node.gap.begin(), node.gap.begin() + node.count);
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

void Store::RetireNode(Node* node) {
  --tree_.node_count_;
  tree_.pool_.Retire(node);
}

template <class T>
T* Store::NewNode(uint32_t level) {
  ++tree_.node_count_;
  T* node = new (tree_.pool_.Take()) T;
  node->last.fill(MapleTree::kMaxIndex);
  node->level = static_cast<uint16_t>(level);
  return node;
}

}  // namespace maple

// -- MapleTree's side -----------------------------------------------------------------------------

Result<void> MapleTree::Init() {
  const Result<void*> memory = heap_.Allocate(kNodeBytes, kNodeBytes);
  if (!memory.ok()) return memory.error();
  auto* leaf = new (*memory) maple::Leaf;
  leaf->last.fill(kMaxIndex);
  leaf->count = 1;
  leaf->value[0] = nullptr;
  node_count_ = 1;
  root_.Store(leaf, kRelease);  // pairs with the readers' Load
  return {};
}

MapleTree::~MapleTree() {
  if (maple::Node* root = root_.Load(kRelaxed)) FreeSubtree(root);  // relaxed: nobody else is left
}

void MapleTree::FreeSubtree(maple::Node* node) {
  if (node->level != 0) {
    for (uint32_t i = 0; i < node->count; ++i) {
      FreeSubtree(maple::ChildOf(*static_cast<maple::Inner*>(node), i));
    }
  }
  heap_.Free(node, kNodeBytes, kNodeBytes);
}

namespace {

/// How many nodes a store into a tree of that height may need: three in each level for what is
/// rebuilt there, and a new root.
constexpr uint32_t WorstCase(uint32_t height) { return 3 * (height + 1) + 1; }

}  // namespace

Result<void> MapleTree::Reserve(uint64_t first, uint64_t last) {
  if (heap_.InjectedFailure()) return Errno::kEnomem;  // seldom asks the heap itself
  // Enough for any store, mostly; only a tree without that many spares looks what this one needs.
  if (pool_.Refill(WorstCase(height_)) && pool_.CanHandOver()) return {};
  return pool_.SetAside(NodesNeeded(first, last));
}

Result<void> MapleTree::ReserveStores(uint32_t stores) {
  MM_DCHECK_NE(stores, 0u);
  if (heap_.InjectedFailure()) return Errno::kEnomem;  // as above
  // A store adds at most two children to the root, so that a tree that has just become higher takes
  // nine more to do so again.
  return pool_.SetAside(stores * WorstCase(height_ + 1 + stores / 9));
}

/// How many nodes Store(first, last, ...) may need.
uint32_t MapleTree::NodesNeeded(uint64_t first, uint64_t last) const {
  const uint32_t worst = WorstCase(height_);
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

void MapleTree::Store(uint64_t first, uint64_t last, void* value) {
  maple::Store(*this).Run(first, last, value);
}

}  // namespace faultline
