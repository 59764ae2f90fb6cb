// SPDX-License-Identifier: Apache-2.0
//
// Vma: one mapping of an mm (Linux: struct vm_area_struct). A range of addresses with one set of
// flags, backed by nothing (anonymous) or by a Mapping from page pgoff on.
//
// Fields follow B5 (the table in core/LOCKING.md). All are relaxed atomics, since a reader without
// a stabilising lock may copy them and check afterwards that no writer was at work; such a copy is
// worthless until it is checked. Setters are the writer's: mmap_lock held for write and the VMA
// marked (MmWriter::Mark), and, for start, end and pgoff, unlinked from rmap or rmap locked.
//
// Memory: slots of a TypeStableSlab shared by all mms of a machine (B15). Life: Allocate, Init,
// marked, attached, linked into the tree; taken out, detached, Free; reuse may be immediate. The
// sequence counts marks, attachments and detachments; it only grows, over reuse, too (B21).
//
// Its locks, of which an mm's scheme uses one: a count of readers (vma_refcnt.h) or an rwsem, and
// the lock sequence, by which a writer's hold is told (vma_marks.h). Cache lines: links, what
// faults read, what they may write.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/base/types.h"
#include "core/sync/sync.h"
#include "core/vma/vma_flags.h"
#include "core/vma/vma_owner.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class AnonVma;
class Mapping;
struct AnonVmaChain;
struct OnVma;      // tag: the AnonVmaChains of one VMA
struct InMapping;  // tag: the VMAs of one Mapping
struct OnRemoval;  // tag: VMAs that an operation is taking out of the tree

/// One open of a file, by number; 0: none (Linux: struct file). VMAs of different ones do not
/// merge, even if they map the same Mapping.
using OpenFileId = uint64_t;

class Vma;
using VmaSlab = TypeStableSlab<Vma>;

class alignas(64) Vma : public ListNode<InMapping>, public ListNode<OnRemoval> {
 public:
  Vma() {}   // NOLINT(modernize-use-equals-default): the union has no default
  ~Vma() {}  // NOLINT(modernize-use-equals-default): likewise

  /// What the slab keeps over Free and Allocate (see type_stable.h).
  void VisitStableFields(auto&& visit) {
    visit(sequence_);
    visit(owner_);
    visit(refcnt_);
    visit(lock_sequence_);
  }

  // -- Reading: under a lock that makes the VMA stable (B5), or as a hint to be checked ----------
  // Relaxed throughout: the lock, or the check of the sequence, orders.

  [[nodiscard]] VirtAddr start() const { return VirtAddr(start_.Load(kRelaxed)); }
  [[nodiscard]] VirtAddr end() const { return VirtAddr(end_.Load(kRelaxed)); }
  [[nodiscard]] VirtRange range() const { return {start(), end()}; }
  [[nodiscard]] VmaFlags flags() const { return flags_.Load(kRelaxed); }
  [[nodiscard]] bool Has(VmaFlags any) const { return (flags() & any) != 0; }
  /// The page of the Mapping, or of the anonymous linear index, at start().
  [[nodiscard]] PageIndex pgoff() const { return PageIndex(pgoff_.Load(kRelaxed)); }
  /// The index of the page at `addr`, which is inside (Linux: linear_page_index).
  [[nodiscard]] PageIndex IndexOf(VirtAddr addr) const {
    return pgoff() + ((addr - start()) >> kPageShift);
  }
  [[nodiscard]] Mapping* mapping() const { return mapping_.Load(kRelaxed); }
  [[nodiscard]] AnonVma* anon_vma() const { return anon_vma_.Load(kRelaxed); }
  [[nodiscard]] OpenFileId open_file() const { return list_.chained.open_file; }
  [[nodiscard]] bool is_anonymous() const { return mapping() == nullptr; }
  [[nodiscard]] uint64_t pages() const { return (end() - start()) >> kPageShift; }

  // -- Reading without any lock: stable fields ---------------------------------------------------

  /// The mm that it was made for last, which may be gone if the VMA is detached.
  [[nodiscard]] VmaOwner* owner() const { return owner_.Load(kRelaxed); }
  /// Grows with marks and their ends, attachments and detachments; odd while marked, if that is a
  /// duty of the writer's (kDutyBumpVma). Acquire: pairs with BumpSequence.
  [[nodiscard]] uint64_t sequence() const { return sequence_.Load(kAcquire); }
  /// The mm's sequence when it was last marked. Acquire: pairs with VmaMarks::Mark.
  [[nodiscard]] uint64_t lock_sequence() const { return lock_sequence_.Load(kAcquire); }
  /// It is not, or not any more, in the tree of its owner. Acquire: pairs with Detach.
  [[nodiscard]] bool is_detached() const;

  // -- Writing: see above ------------------------------------------------------------------------

  /// Makes a slot from the slab a VMA of `owner` without rmap links, detached.
  void Init(VmaOwner& owner, VirtRange range, VmaFlags flags, Mapping* mapping, PageIndex pgoff);
  void SetRange(VirtRange range, PageIndex pgoff) {
    start_.Store(range.start().value(), kRelaxed);
    end_.Store(range.end().value(), kRelaxed);
    pgoff_.Store(pgoff.value(), kRelaxed);
  }
  void SetFlags(VmaFlags flags) { flags_.Store(flags, kRelaxed); }
  /// Also under mmap_lock for read: flags that are only ever added (Linux: vma_set_atomic_flag).
  void AddStickyFlags(VmaFlags flags) { flags_.FetchOr(flags & vma_flag::kSticky, kRelaxed); }
  /// Also under mmap_lock for read with page_table_lock (B5): only from null.
  void SetAnonVma(AnonVma* anon_vma) { anon_vma_.Store(anon_vma, kRelaxed); }
  /// Before the VMA is in the tree.
  void SetMapping(Mapping* mapping) { mapping_.Store(mapping, kRelaxed); }
  void SetOpenFile(OpenFileId open_file) { list_.chained.open_file = open_file; }

  /// It is about to enter the tree, marked and with its fields set (Linux: vma_mark_attached).
  void Attach();
  /// It has left the tree, marked: late readers must not take it for a VMA of its mm any more.
  /// Waits for those who hold a count and are about to notice (B19). (Linux: vma_mark_detached)
  void Detach();

  /// The anon_vmas that its pages may belong to; guarded by mmap_lock and the anon_vma's lock.
  [[nodiscard]] IntrusiveList<AnonVmaChain, OnVma>& anon_vma_chains() {
    Touch(&list_);
    return list_.chained.chains;
  }

  /// Gives a detached VMA without rmap links back to `slab`: for reuse at once, or after a grace
  /// period, for readers that find it under RCU and take no count.
  void FreeNow(VmaSlab& slab) { slab.Free(this); }
  void FreeAfterGracePeriod(VmaSlab& slab);

 private:
  friend class VmaMarks;
  friend class VmaRefcnt;
  friend class VmaRwsem;

  /// Tells validating readers that something changes (B21). By the one writer.
  void BumpSequence(uint64_t by);

  /// While it lives: its chains. When it is on its way to the slab: what RCU needs.
  struct Chained {
    IntrusiveList<AnonVmaChain, OnVma> chains;
    OpenFileId open_file = 0;  ///< constant while the VMA is in the tree
  };
  struct Retired : RcuHead {
    VmaSlab* slab = nullptr;
  };
  static void AfterGracePeriod(RcuHead* head);
  union List {
    List() : chained() {}
    ~List() {}
    Chained chained;
    Retired retired;
  } list_;

  // Read by every fault; written under a mark.
  alignas(64) Atomic<uint64_t> start_{0};
  Atomic<uint64_t> end_{0};
  Atomic<uint64_t> flags_{0};
  Atomic<uint64_t> pgoff_{0};
  Atomic<Mapping*> mapping_{nullptr};
  Atomic<AnonVma*> anon_vma_{nullptr};
  Atomic<VmaOwner*> owner_{nullptr};
  Atomic<uint64_t> sequence_{0};

  // Written by readers that lock it.
  alignas(64) RwSem<LockRank::kVmaLock> rwsem_;
  Atomic<uint32_t> refcnt_{0};
  Atomic<uint64_t> lock_sequence_{0};
  Vma* next_marked_ = nullptr;  ///< another one that the same section has marked
};
static_assert(kModelled || sizeof(Vma) <= 192);

}  // namespace faultline
