// SPDX-License-Identifier: Apache-2.0
//
// anon_vma: from an anonymous page to the VMAs that may map it (Linux: mm/rmap.c, struct anon_vma
// and struct anon_vma_chain).
//
// A VMA gets an anon_vma with its first anonymous page (B28); a neighbour's is reused if the two
// could merge. Splitting clones the chains. At fork the child gets the parent's chains and an
// anon_vma of its own below the parent's, so that pages the child makes are not looked for in
// the parent. All anon_vmas of one fork tree share the lock of the root, which is inside mmap_lock
// and outside page_table_lock (Prepare takes both).
//
// An anon_vma is freed after a grace period: a page may still name it. Invariants: a VMA with an
// anon_vma has a chain to it; a VMA chained to an anon_vma is chained to that one's parent;
// num_active_vmas counts the VMAs whose anon_vma it is; num_children its children in the tree, and
// itself if it is the root.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/intrusive_list.h"
#include "core/base/result.h"
#include "core/sync/sync.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class AnonVmas;
struct OnAnonVma;  // tag: the AnonVmaChains of one anon_vma

/// Links one VMA with one anon_vma.
struct AnonVmaChain : ListNode<OnVma>, ListNode<OnAnonVma> {
  Vma* vma = nullptr;
  AnonVma* anon_vma = nullptr;
};

class AnonVma {
 public:
  /// The lock of the whole fork tree: guards the lists of VMAs and the counts of each member.
  [[nodiscard]] RwSem<LockRank::kAnonVma>& lock() const { return root_->lock_; }
  [[nodiscard]] AnonVma& root() const { return *root_; }
  /// Itself if it is the root.
  [[nodiscard]] AnonVma& parent() const { return *parent_; }
  /// The VMAs that may map its pages.
  [[nodiscard]] IntrusiveList<AnonVmaChain, OnAnonVma>& vmas() { return vmas_; }
  [[nodiscard]] uint32_t num_active_vmas() const { return num_active_vmas_; }
  [[nodiscard]] uint32_t num_children() const { return num_children_; }

 private:
  friend class AnonVmas;
  friend class Heap;  // makes it

  /// A root without VMAs.
  explicit AnonVma(AnonVmas& owner) : owner_(owner) {}

  RcuHead rcu_;  // first: the callback gets its address
  AnonVmas& owner_;
  AnonVma* root_ = this;            // constant once it is reachable
  AnonVma* parent_ = this;          // likewise
  RwSem<LockRank::kAnonVma> lock_;  // the root's is used, and guards the next three of all members
  uint32_t num_active_vmas_ = 0;
  uint32_t num_children_ = 1;
  IntrusiveList<AnonVmaChain, OnAnonVma> vmas_;
  /// One for having VMAs; of a root, one for each other member of its tree. Whoever drops the last
  /// one retires it.
  Atomic<uint32_t> refcount_{1};
};

/// The anon_vmas of a machine. Every function: mmap_lock of the VMAs' mms is held for write, unless
/// said otherwise; takes the anon_vma lock itself; may sleep. ENOMEM leaves everything as it was.
/// Memory is allocated before the lock is taken, where Linux tries under it first.
class AnonVmas {
 public:
  /// `heap` outlives it and the grace periods that it asks for.
  explicit AnonVmas(Heap& heap) : heap_(heap) {}
  /// No anon_vma is left; see Rcu::Barrier.
  ~AnonVmas() { MM_CHECK_EQ(count(), 0u); }
  AnonVmas(const AnonVmas&) = delete;
  AnonVmas& operator=(const AnonVmas&) = delete;

  /// Gives `vma`, which has none, an anon_vma: `reusable`, if not null, else a new one. `reusable`
  /// is that of a neighbour which is chained to nothing else (Linux: reusable_anon_vma), hence a
  /// root. mmap_lock may be held for read only; then another task may be first, whose anon_vma
  /// stays, and `page_table_lock` decides (B5). In a NoWaitScope EAGAIN if the lock is held.
  /// (Linux: __anon_vma_prepare)
  [[nodiscard]] Result<void> Prepare(Vma& vma, AnonVma* reusable,
                                     SpinLock<LockRank::kPageTable>& page_table_lock);

  /// Chains `to` to all that `from` is chained to. If `to` has no anon_vma yet and `reuse` says so
  /// (fork), one that has no VMA of its own left and fewer than two children becomes it. `to`
  /// without reuse: its anon_vma was set to that of `from`, or is null. (Linux: anon_vma_clone)
  enum class Reuse : uint8_t { kNo, kAtFork };
  [[nodiscard]] Result<void> Clone(Vma& to, Vma& from, Reuse reuse = Reuse::kNo);

  /// Child side of fork: clones the parent's chains and, if none is reused, adds an anon_vma of the
  /// child's own. Nothing to do if the parent has no anon_vma. (Linux: anon_vma_fork)
  [[nodiscard]] Result<void> Fork(Vma& child, Vma& parent);

  /// Undoes all of that: the VMA leaves every anon_vma; those without VMAs are freed. Cannot fail.
  /// (Linux: unlink_anon_vmas)
  void Unlink(Vma& vma);

  /// True if the VMA's chain leads to more than one anon_vma: it was forked, and merging it would
  /// lengthen chains (Linux: vma_is_fork_child). mmap_lock is held in any mode.
  [[nodiscard]] static bool IsForkChild(Vma& vma);

  /// anon_vmas that exist now, those waiting for a grace period included.
  [[nodiscard]] uint64_t count() const { return count_.Peek(); }
  /// Aborts if an invariant of the VMA's chains does not hold. mmap_lock is held in any mode; takes
  /// the anon_vma lock for reading.
  static void Validate(Vma& vma);

 private:
  using Chains = IntrusiveList<AnonVmaChain, OnVma>;

  [[nodiscard]] Result<AnonVma*> NewAnonVma();
  [[nodiscard]] Result<void> NewChains(Chains& chains, size_t count);
  void DeleteChains(Chains& chains);
  static void LinkLocked(Vma& vma, AnonVma& anon_vma, AnonVmaChain& chain);
  static void Get(AnonVma& anon_vma);
  void Put(AnonVma& anon_vma);
  static void AfterGracePeriod(RcuHead* head);

  Heap& heap_;
  Atomic<uint64_t> count_{0};
};

}  // namespace faultline
