// SPDX-License-Identifier: Apache-2.0
//
// The nodes of a MapleTree and the search within one. Internal to core/vma's maple tree.
//
// A node is eight cache lines. What a search needs lies first and together: the upper ends of the
// children's ranges, in order. A leaf has 31 entries, an inner node 20 children; wide nodes keep
// the tree flat, and four lines of ends cost less than another level.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/build.h"
#include "core/sync/atomic.h"
#include "core/sync/work.h"
#include "core/vma/maple_tree.h"

namespace faultline::inline FAULTLINE_FLAVOUR::maple {

/// The head of every node.
struct Node {
  uint16_t count = 0;         ///< immutable once visible
  uint16_t level = 0;         ///< 0: a leaf; immutable once visible
  Node* next_free = nullptr;  ///< in a list of retired or spare nodes; their owner's alone
};

enum class Access { kRead, kWrite };

/// All of the node's lines, at once instead of one after the other.
template <Access kAccess>
FAULTLINE_ALWAYS_INLINE void PrefetchNode(const void* node) {
  for (size_t line = 0; line < MapleTree::kNodeBytes; line += kCacheLine) {
    __builtin_prefetch(static_cast<const std::byte*>(node) + line, kAccess == Access::kWrite);
  }
}

inline constexpr uint32_t kLeafSlots = 31;
inline constexpr uint32_t kInnerSlots = 20;
/// A node with fewer is merged with a neighbour when it is next rewritten.
inline constexpr uint32_t kLeafMin = kLeafSlots / 3;
inline constexpr uint32_t kInnerMin = kInnerSlots / 3;

/// Immutable once visible. Entry i covers the indices behind entry i-1 up to last[i].
struct Leaf : Node {
  std::array<uint64_t, kLeafSlots> last;  ///< UINT64_MAX behind the last entry
  std::array<void*, kLeafSlots> value;
};

/// Child i covers the indices behind child i-1 up to last[i].
struct Inner : Node {
  std::array<uint64_t, kInnerSlots> last;  ///< immutable once visible; padded as a leaf's
  // Written by the writer, read reliably under its lock; readers follow it with acquire.
  std::array<Atomic<Node*>, kInnerSlots> child;
  std::array<uint64_t, kInnerSlots> gap;  ///< greatest gap below each child; writers only
};

static_assert(sizeof(Leaf) <= MapleTree::kNodeBytes && sizeof(Inner) <= MapleTree::kNodeBytes);

/// A child on its way into a new inner node.
struct Child {
  uint64_t last;
  Node* node;
  uint64_t gap;
};

/// An entry on its way into a new leaf.
struct Item {
  uint64_t last;
  void* value;
};

/// Length of [first, last], saturated where it is 2^64.
[[nodiscard]] constexpr uint64_t LengthOf(uint64_t first, uint64_t last) {
  const uint64_t length = last - first + 1;
  return length == 0 ? UINT64_MAX : length;
}

/// The first end that is not below `index`. Ends behind the last child are UINT64_MAX, so the last
/// one of the tree never is. Two rounds of independent comparisons instead of a binary search:
/// nothing to mispredict, and where lines have to be fetched, they are fetched at once.
template <size_t kGroup, size_t kSlots>
[[nodiscard]] FAULTLINE_ALWAYS_INLINE uint32_t SlotIn(const std::array<uint64_t, kSlots>& ends,
                                                      uint64_t index) {
  uint32_t slot = 0;
  for (size_t i = kGroup - 1; i < kSlots - 1; i += kGroup) slot += ends[i] < index ? 1 : 0;
  slot *= kGroup;
  const uint64_t* group = ends.data() + slot;
  for (size_t i = 0; i < kGroup - 1; ++i) slot += group[i] < index ? 1 : 0;
  return slot;
}

[[nodiscard]] FAULTLINE_ALWAYS_INLINE uint32_t SlotOf(const Leaf& leaf, uint64_t index) {
  static_assert(kLeafSlots == 31, "the last group must not reach behind the array");
  return SlotIn<8>(leaf.last, index);
}
[[nodiscard]] FAULTLINE_ALWAYS_INLINE uint32_t SlotOf(const Inner& inner, uint64_t index) {
  static_assert(kInnerSlots == 20, "the last group must not reach behind the array");
  return SlotIn<7>(inner.last, index);
}

}  // namespace faultline::inline FAULTLINE_FLAVOUR::maple
