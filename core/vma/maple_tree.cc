// SPDX-License-Identifier: Apache-2.0
//
// MapleTree's readers, cursor, gap searches and checks. Writers are in maple_store.cc.
//
// Readers walk plain, immutable node contents; the one shared word per level is the pointer to the
// child, loaded with acquire. `Touch` marks each node for the modelled build, which so notices a
// walk into a node that was freed.
#include "core/vma/maple_tree.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/vma/maple_node.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

using maple::Inner;
using maple::Leaf;
using maple::LengthOf;
using maple::Node;
using maple::SlotOf;

namespace {

const Inner& AsInner(const Node& node) { return static_cast<const Inner&>(node); }
const Leaf& AsLeaf(const Node& node) { return static_cast<const Leaf&>(node); }

/// SlotOf for a leaf that may be far away: its values are fetched together with its ends instead of
/// after them, which in a large tree is one wait for memory less.
FAULTLINE_ALWAYS_INLINE uint32_t SlotWithValue(const Leaf& leaf, uint64_t index) {
  constexpr uint32_t kPerLine = kCacheLine / sizeof(void*);
  for (uint32_t i = kPerLine / 2; i < maple::kLeafSlots; i += kPerLine) {
    __builtin_prefetch(static_cast<const void*>(&leaf.value[i]));
  }
  return SlotOf(leaf, index);
}

}  // namespace

// -- Readers --------------------------------------------------------------------------------------

void* MapleTree::Find(uint64_t index) const {
  const Node* node = root_.Load(kAcquire);  // pairs with Publish
  Touch(node);
  while (node->level != 0) {
    const Inner& inner = AsInner(*node);
    // Acquire: pairs with Publish, as above.
    node = inner.child[SlotOf(inner, index)].Load(kAcquire);
    Touch(node);
  }
  const Leaf& leaf = AsLeaf(*node);
  return leaf.value[SlotWithValue(leaf, index)];
}

/// An entry or gap, by its place in a leaf.
struct MapleTree::LeafPosition {
  const Leaf* leaf;
  uint64_t leaf_first;  ///< where the leaf's range begins
  uint32_t slot;

  [[nodiscard]] FAULTLINE_ALWAYS_INLINE Entry entry() const {
    const uint64_t first = slot == 0 ? leaf_first : leaf->last[slot - 1] + 1;
    return {first, leaf->last[slot], leaf->value[slot]};
  }
};

FAULTLINE_ALWAYS_INLINE MapleTree::LeafPosition MapleTree::Descend(uint64_t index) const {
  uint64_t first = 0;
  const Node* node = root_.Load(kAcquire);  // pairs with Publish
  Touch(node);
  while (node->level != 0) {
    const Inner& inner = AsInner(*node);
    const uint32_t slot = SlotOf(inner, index);
    if (slot > 0) first = inner.last[slot - 1] + 1;
    node = inner.child[slot].Load(kAcquire);  // pairs with Publish
    Touch(node);
  }
  const Leaf& leaf = AsLeaf(*node);
  return {&leaf, first, SlotWithValue(leaf, index)};
}

MapleTree::Entry MapleTree::Lookup(uint64_t index) const { return Descend(index).entry(); }

// Two gaps are never neighbours, so what is beside a gap has a value, if there is anything. Mostly
// it is in the same leaf, which does not change. If not, a writer may have been at work between the
// two looks; the result then is an entry of the later tree.
MapleTree::Entry MapleTree::FindFrom(uint64_t index) const {
  while (true) {
    const LeafPosition at = Descend(index);
    const Entry entry = at.entry();
    if (entry.value != nullptr || entry.last == kMaxIndex) return entry;
    if (at.slot + 1u < at.leaf->count) {
      return {entry.last + 1, at.leaf->last[at.slot + 1], at.leaf->value[at.slot + 1]};
    }
    index = entry.last + 1;
  }
}

MapleTree::Entry MapleTree::FindBackFrom(uint64_t index) const {
  while (true) {
    const LeafPosition at = Descend(index);
    const Entry entry = at.entry();
    if (entry.value != nullptr || entry.first == 0) return entry;
    if (at.slot > 0) return LeafPosition{at.leaf, at.leaf_first, at.slot - 1}.entry();
    index = entry.first - 1;
  }
}

// -- Cursor ---------------------------------------------------------------------------------------

// Loads are relaxed, and nodes not marked by Touch: under the writers' lock nothing changes.
void MapleCursor::Seek(uint64_t index) {
  leaf_first_ = 0;
  stores_ = tree_.stores_;
  const Node* node = tree_.root_.Load(kRelaxed);  // relaxed: as above
  while (node->level != 0) {
    const Inner& inner = AsInner(*node);
    const uint32_t slot = SlotOf(inner, index);
    if (slot > 0) leaf_first_ = inner.last[slot - 1] + 1;
    node = inner.child[slot].Load(kRelaxed);  // relaxed: as above
  }
  leaf_ = &AsLeaf(*node);
  slot_ = SlotOf(*leaf_, index);
  const uint64_t first = slot_ == 0 ? leaf_first_ : leaf_->last[slot_ - 1] + 1;
  entry_ = {first, leaf_->last[slot_], leaf_->value[slot_]};
}

bool MapleCursor::Next() {
  MM_DCHECK_EQ(stores_, tree_.stores_);  // stale otherwise
  if (entry_.last == MapleTree::kMaxIndex) return false;
  if (slot_ + 1u == leaf_->count) {
    Seek(entry_.last + 1);
    return true;
  }
  ++slot_;
  entry_ = {entry_.last + 1, leaf_->last[slot_], leaf_->value[slot_]};
  return true;
}

bool MapleCursor::Prev() {
  MM_DCHECK_EQ(stores_, tree_.stores_);  // stale otherwise
  if (entry_.first == 0) return false;
  if (slot_ == 0) {
    Seek(entry_.first - 1);
    return true;
  }
  --slot_;
  const uint64_t first = slot_ == 0 ? leaf_first_ : leaf_->last[slot_ - 1] + 1;
  entry_ = {first, entry_.first - 1, leaf_->value[slot_]};
  return true;
}

// -- Gap searches ---------------------------------------------------------------------------------

namespace {

/// A search for a gap of `size` indices within [min, max]. Subtrees whose greatest gap is too small
/// are passed over; only at the two ends of [min, max] may a subtree disappoint.
struct GapSearch {
  uint64_t min;
  uint64_t max;
  uint64_t size;

  /// The part of [first, last] that counts, if it is large enough.
  [[nodiscard]] bool Fits(uint64_t& first, uint64_t& last) const {
    first = std::max(first, min);
    last = std::min(last, max);
    return first <= last && LengthOf(first, last) >= size;
  }

  [[nodiscard]] std::optional<uint64_t> Up(const Node& node, uint64_t first) const {
    for (uint32_t i = 0; i < node.count && first <= max; ++i) {
      const uint64_t last = node.level == 0 ? AsLeaf(node).last[i] : AsInner(node).last[i];
      if (last >= min) {
        if (const auto found = UpIn(node, i, first, last)) return found;
      }
      if (last == MapleTree::kMaxIndex) break;
      first = last + 1;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<uint64_t> UpIn(const Node& node, uint32_t i, uint64_t first,
                                             uint64_t last) const {
    if (node.level != 0) {
      const Inner& inner = AsInner(node);
      if (inner.gap[i] < size) return std::nullopt;
      return Up(*inner.child[i].Load(kRelaxed), first);  // relaxed: under the writers' lock
    }
    if (AsLeaf(node).value[i] != nullptr || !Fits(first, last)) return std::nullopt;
    return first;
  }

  [[nodiscard]] std::optional<uint64_t> Down(const Node& node, uint64_t node_first) const {
    for (uint32_t i = node.count; i-- > 0;) {
      const uint64_t* ends = node.level == 0 ? AsLeaf(node).last.data() : AsInner(node).last.data();
      const uint64_t first = i == 0 ? node_first : ends[i - 1] + 1;
      if (first > max) continue;
      if (ends[i] < min) break;
      if (const auto found = DownIn(node, i, first, ends[i])) return found;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<uint64_t> DownIn(const Node& node, uint32_t i, uint64_t first,
                                               uint64_t last) const {
    if (node.level != 0) {
      const Inner& inner = AsInner(node);
      if (inner.gap[i] < size) return std::nullopt;
      return Down(*inner.child[i].Load(kRelaxed), first);  // relaxed: under the writers' lock
    }
    if (AsLeaf(node).value[i] != nullptr || !Fits(first, last)) return std::nullopt;
    return last - size + 1;
  }
};

}  // namespace

std::optional<uint64_t> MapleTree::FindGapUp(uint64_t min, uint64_t max, uint64_t size) const {
  MM_DCHECK_NE(size, 0u);
  return GapSearch{min, max, size}.Up(*root_.Load(kRelaxed), 0);  // relaxed: writers' lock
}

std::optional<uint64_t> MapleTree::FindGapDown(uint64_t min, uint64_t max, uint64_t size) const {
  MM_DCHECK_NE(size, 0u);
  return GapSearch{min, max, size}.Down(*root_.Load(kRelaxed), 0);  // relaxed: writers' lock
}

// -- Checks ---------------------------------------------------------------------------------------

namespace {

/// Walks the whole tree in order.
class Validator {
 public:
  /// Returns the greatest gap below `node`.
  uint64_t Check(const Node& node, uint64_t first, uint64_t last) {
    ++nodes;
    MM_CHECK_GT(node.count, 0);
    if (node.level == 0) return CheckLeaf(AsLeaf(node), first, last);
    const Inner& inner = AsInner(node);
    MM_CHECK_LE(inner.count, maple::kInnerSlots);
    MM_CHECK(inner.count > 1);  // an only child would take its parent's place
    uint64_t greatest = 0;
    for (uint32_t i = 0; i < inner.count; ++i) {
      const Node& child = *inner.child[i].Peek();
      MM_CHECK_EQ(child.level + 1, inner.level);
      MM_CHECK_LE(first, inner.last[i]);
      MM_CHECK_EQ(Check(child, first, inner.last[i]), inner.gap[i]);
      greatest = std::max(greatest, inner.gap[i]);
      first = inner.last[i] + 1;
    }
    MM_CHECK_EQ(inner.last[inner.count - 1], last);
    return greatest;
  }

  size_t nodes = 0;

 private:
  uint64_t CheckLeaf(const Leaf& leaf, uint64_t first, uint64_t last) {
    MM_CHECK_LE(leaf.count, maple::kLeafSlots);
    uint64_t greatest = 0;
    for (uint32_t i = 0; i < leaf.count; ++i) {
      MM_CHECK_LE(first, leaf.last[i]);
      const bool is_gap = leaf.value[i] == nullptr;
      MM_CHECK(!(is_gap && after_gap_));
      after_gap_ = is_gap;
      if (is_gap) greatest = std::max(greatest, LengthOf(first, leaf.last[i]));
      first = leaf.last[i] + 1;
    }
    MM_CHECK_EQ(leaf.last[leaf.count - 1], last);
    return greatest;
  }

  bool after_gap_ = false;
};

}  // namespace

void MapleTree::Validate() const {
  const Node& root = *root_.Peek();
  MM_CHECK_EQ(root.level, height_);
  Validator validator;
  validator.Check(root, 0, kMaxIndex);
  MM_CHECK_EQ(validator.nodes, node_count_);
}

}  // namespace faultline
