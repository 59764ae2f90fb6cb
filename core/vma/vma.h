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
// linked into the tree, taken out and detached, Free; reuse may be immediate. The sequence counts
// marks, attachments and detachments; it only grows, over reuse, too (B21).
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/base/types.h"
#include "core/sync/sync.h"
#include "core/vma/vma_flags.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class AnonVma;
class Mapping;
class Mm;
struct AnonVmaChain;
struct OnVma;      // tag: the AnonVmaChains of one VMA
struct InMapping;  // tag: the VMAs of one Mapping
struct OnRemoval;  // tag: VMAs that an operation is taking out of the tree

/// One open of a file, by number; 0: none (Linux: struct file). VMAs of different ones do not
/// merge, even if they map the same Mapping.
using OpenFileId = uint64_t;

class alignas(64) Vma : public ListNode<InMapping>, public ListNode<OnRemoval> {
 public:
  Vma() = default;

  /// What the slab keeps over Free and Allocate (see type_stable.h).
  void VisitStableFields(auto&& visit) {
    visit(sequence_);
    visit(mm_);
  }

  // -- Reading: under a lock that makes the VMA stable (B5), or as a hint to be checked
  // ------------ Relaxed throughout: the lock, or the check of the sequence, orders.

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
  [[nodiscard]] Mm* mm() const { return mm_.Load(kRelaxed); }
  [[nodiscard]] OpenFileId open_file() const { return open_file_; }
  [[nodiscard]] bool is_anonymous() const { return mapping() == nullptr; }
  [[nodiscard]] uint64_t pages() const { return (end() - start()) >> kPageShift; }
  [[nodiscard]] uint64_t sequence() const { return sequence_.Load(kAcquire); }  // pairs with Mark

  // -- Writing: see above
  // --------------------------------------------------------------------------

  /// Makes a slot from the slab a VMA of `mm` without rmap links, not yet in the tree.
  void Init(Mm& mm, VirtRange range, VmaFlags flags, Mapping* mapping, PageIndex pgoff);
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
  void SetOpenFile(OpenFileId open_file) { open_file_ = open_file; }

  /// Write-locks the VMA for as long as the mm's write section lasts: `section` is the mm's odd
  /// sequence. Marking twice is once. (Linux: vma_start_write; the wait for readers comes with the
  /// schemes that have some.)
  void Mark(uint64_t section) {
    if (marked_in_ == section) return;
    marked_in_ = section;
    // Release: pairs with sequence(); a reader who sees what follows sees the mark, too.
    sequence_.FetchAdd(1, kAcqRel);
  }
  [[nodiscard]] bool IsMarked(uint64_t section) const { return marked_in_ == section; }
  /// It has left the tree: late readers must not take it for a VMA of its mm any more.
  void Detach();

  /// The anon_vmas that its pages may belong to; guarded by mmap_lock and the anon_vma's lock.
  [[nodiscard]] IntrusiveList<AnonVmaChain, OnVma>& anon_vma_chains() { return chains_; }

 private:
  Atomic<uint64_t> start_{0};
  Atomic<uint64_t> end_{0};
  Atomic<uint64_t> flags_{0};
  Atomic<uint64_t> pgoff_{0};
  Atomic<Mapping*> mapping_{nullptr};
  Atomic<AnonVma*> anon_vma_{nullptr};
  Atomic<Mm*> mm_{nullptr};
  Atomic<uint64_t> sequence_{0};
  OpenFileId open_file_ = 0;  ///< constant while the VMA is in the tree
  uint64_t marked_in_ = 0;    ///< the mm's sequence when it was last marked; writers only
  IntrusiveList<AnonVmaChain, OnVma> chains_;
};
static_assert(kModelled || sizeof(Vma) <= 192);

using VmaSlab = TypeStableSlab<Vma>;

}  // namespace faultline
