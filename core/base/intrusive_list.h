// SPDX-License-Identifier: Apache-2.0
//
// IntrusiveList<T, Tag>: a doubly linked list whose links are part of its elements.
//
// An element derives from ListNode<Tag>, once per list that it can be on at a time; the Tag tells
// the lists apart. The list owns nothing and allocates nothing; linking and unlinking are O(1).
// It is circular through a node of its own: the node behind the last element and before the first.
// Not thread-safe: the list, and the ListNode<Tag> of every element on it, belong to the list's
// owner and its lock.
//
// Linux analogue: struct list_head.
// Invariant: a node is on no list (both links null) or on one; it is not destroyed, copied or moved
// while on one. Misuse is an MM_DCHECK.

#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

#include "core/base/build.h"
#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

template <class T, class Tag>
class IntrusiveList;

/// The links of an element: derive from it publicly. Tag is any type, complete or not.
template <class Tag = void>
class ListNode {
 public:
  ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { MM_DCHECK(!is_linked()); }

  /// Makes the node of a recycled object, whose links are garbage, one that is on no list.
  void Reinitialize() noexcept {
    prev_ = nullptr;
    next_ = nullptr;
  }
  /// True while on a list.
  [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }

 private:
  template <class T, class U>
  friend class IntrusiveList;

  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

/// A list of T, which derives from ListNode<Tag>. Where there may be no element, functions speak of
/// it as a pointer that is null at the end of the list.
template <class T, class Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

  // One class for both iterators; Element is T or const T.
  template <class Element>
  class Iter {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = Element*;
    using reference = Element&;

    Iter() noexcept = default;
    /// From iterator to const_iterator.
    template <class Mutable>
      requires(!std::is_const_v<Mutable> && std::same_as<const Mutable, Element>)
    explicit(false) Iter(const Iter<Mutable>& other) noexcept : node_(other.node_) {}

    [[nodiscard]] Element& operator*() const noexcept { return *ElementOf(node_); }
    [[nodiscard]] Element* operator->() const noexcept { return ElementOf(node_); }
    Iter& operator++() noexcept {
      node_ = node_->next_;
      return *this;
    }
    Iter& operator--() noexcept {
      node_ = node_->prev_;
      return *this;
    }
    Iter operator++(int) noexcept { return std::exchange(*this, std::next(*this)); }
    Iter operator--(int) noexcept { return std::exchange(*this, std::prev(*this)); }
    [[nodiscard]] friend bool operator==(Iter, Iter) noexcept = default;

   private:
    friend class IntrusiveList;
    template <class Other>
    friend class Iter;
    explicit Iter(Node* node) noexcept : node_(node) {}

    Node* node_ = nullptr;
  };

 public:
  using value_type = T;
  using iterator = Iter<T>;
  using const_iterator = Iter<const T>;

  /// An empty list.
  IntrusiveList() noexcept { Reinitialize(); }
  /// Makes the list of a recycled object, whose links are garbage, an empty one.
  void Reinitialize() noexcept {
    head_.prev_ = &head_;
    head_.next_ = &head_;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  /// The list is empty by then: it does not know what to do with elements that are left.
  ~IntrusiveList() {
    MM_DCHECK(empty());
    head_.prev_ = nullptr;
    head_.next_ = nullptr;
  }

  /// True when there is no element.
  [[nodiscard]] bool empty() const noexcept { return head_.next_ == &head_; }

  /// The first and the last element, or null.
  [[nodiscard]] T* front() noexcept { return OrNull(head_.next_); }
  [[nodiscard]] const T* front() const noexcept { return OrNull(head_.next_); }
  [[nodiscard]] T* back() noexcept { return OrNull(head_.prev_); }
  [[nodiscard]] const T* back() const noexcept { return OrNull(head_.prev_); }

  /// The element behind or before `element`, which is on this list, or null.
  [[nodiscard]] T* next(T& element) { return OrNull(LinkedNode(element)->next_); }
  [[nodiscard]] T* prev(T& element) { return OrNull(LinkedNode(element)->prev_); }

  /// Puts `element`, which is on no list of this Tag, first, last, or right before `position`,
  /// which is on this list. The list refers to the element until it is taken off.
  void push_front(T& element) { LinkBefore(&element, head_.next_); }
  void push_back(T& element) { LinkBefore(&element, &head_); }
  void insert_before(T& position, T& element) { LinkBefore(&element, LinkedNode(position)); }

  /// Takes the first or the last element off and returns it; null when there is none.
  [[nodiscard]] T* pop_front() { return Pop(head_.next_); }
  [[nodiscard]] T* pop_back() { return Pop(head_.prev_); }

  /// Takes `element`, which is on this list, off. Only iterators to it become invalid.
  void erase(T& element) { Unlink(LinkedNode(element)); }

  /// Moves all elements of `other`, which is another list, behind the last or before the first of
  /// this one, in their order. O(1); iterators stay valid and now belong to this list.
  void splice_back(IntrusiveList& other) { SpliceBefore(other, &head_); }
  void splice_front(IntrusiveList& other) { SpliceBefore(other, head_.next_); }

  /// From first to last. Erasing the current element ends the walk: step first, then erase.
  [[nodiscard]] iterator begin() noexcept { return iterator(head_.next_); }
  [[nodiscard]] iterator end() noexcept { return iterator(&head_); }
  [[nodiscard]] const_iterator begin() const noexcept { return const_iterator(head_.next_); }
  [[nodiscard]] const_iterator end() const noexcept {
    return const_iterator(const_cast<Node*>(&head_));  // Iterators share one node type.
  }

 private:
  [[nodiscard]] static T* ElementOf(Node* node) noexcept { return static_cast<T*>(node); }

  [[nodiscard]] T* OrNull(Node* node) const noexcept {
    return node == &head_ ? nullptr : ElementOf(node);
  }

  [[nodiscard]] static Node* LinkedNode(T& element) {
    static_assert(std::derived_from<T, Node>);
    Node* node = &element;
    MM_DCHECK(node->is_linked());
    return node;
  }

  static void LinkBefore(Node* node, Node* position) {
    MM_DCHECK(!node->is_linked());
    node->prev_ = position->prev_;
    node->next_ = position;
    node->prev_->next_ = node;
    position->prev_ = node;
  }

  static void Unlink(Node* node) {
    node->prev_->next_ = node->next_;
    node->next_->prev_ = node->prev_;
    node->prev_ = nullptr;
    node->next_ = nullptr;
  }

  [[nodiscard]] T* Pop(Node* node) {
    if (node == &head_) return nullptr;
    Unlink(node);
    return ElementOf(node);
  }

  void SpliceBefore(IntrusiveList& other, Node* position) {
    MM_DCHECK(this != &other);
    if (other.empty()) return;
    Node* first = other.head_.next_;
    Node* last = other.head_.prev_;
    first->prev_ = position->prev_;
    last->next_ = position;
    first->prev_->next_ = first;
    position->prev_ = last;
    other.head_.prev_ = &other.head_;
    other.head_.next_ = &other.head_;
  }

  Node head_;  // Never an element.
};

}  // namespace faultline
