// SPDX-License-Identifier: Apache-2.0
//
// Holds of mmap_lock as objects (Linux: mmap_read_lock, mmap_write_lock_killable,
// mmap_write_downgrade). What mmap_lock guards is reached through them alone: a function that takes
// an MmWriter& can only be called by who holds the lock.
//
// MmWriter is also the write protocol's frame (DESIGN section 4): its construction makes the mm's
// sequence odd; Mark write-locks a VMA until the end of the section; the section ends at downgrade
// or release, whichever comes first, and with it all marks (B2, B20).
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/fault/scheme_table.h"
#include "core/mm/mm.h"
#include "core/pgtable/range_ops.h"
#include "core/vma/vma_finder.h"
#include "core/vma/vma_marks.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// mmap_lock held for read.
class [[nodiscard]] MmReader : public VmaFinder {
 public:
  /// Waits for the lock; if the task is killed meanwhile, held() is false and nothing else is
  /// legal.
  explicit MmReader(Mm& mm) ABSL_NO_THREAD_SAFETY_ANALYSIS  // held for this object's life
      : VmaFinder(mm.tree_),
        mm_(mm),
        held_(mm.mmap_lock_.LockSharedKillable()) {}
  ~MmReader() ABSL_NO_THREAD_SAFETY_ANALYSIS { Release(); }
  MmReader(const MmReader&) = delete;
  MmReader& operator=(const MmReader&) = delete;

  [[nodiscard]] bool held() const { return held_; }
  /// Ends the hold early.
  void Release() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (held_) mm_.mmap_lock_.UnlockShared();
    held_ = false;
  }

  /// Whether somebody waits for the lock (Linux: mmap_lock_is_contended). A hint.
  [[nodiscard]] bool IsContended() const { return mm_.mmap_lock_.HasWaiters(); }

  [[nodiscard]] const MmOptions& options() const { return mm_.options_; }
  [[nodiscard]] MapleTree& tree() const { return mm_.tree_; }
  [[nodiscard]] PageTables& tables() const { return mm_.tables_; }
  [[nodiscard]] FaultTarget& fault_target() const { return mm_.fault_target_; }
  [[nodiscard]] const MmServices& services() const { return mm_.services_; }
  [[nodiscard]] TlbContext& tlb() const { return mm_.tlb_; }

 private:
  Mm& mm_;
  bool held_;
};

/// mmap_lock held for write, or, after Downgrade, for read.
class [[nodiscard]] MmWriter {
 public:
  /// As MmReader. `subclass` is kNested for the child in fork.
  explicit MmWriter(Mm& mm, LockSubclass subclass = LockSubclass::kNormal)
      ABSL_NO_THREAD_SAFETY_ANALYSIS  // held for this object's life
      : mm_(mm),
        marks_(mm, DutiesOf(mm.options_.fault) | mm.options_.extra_duties),
        hold_(mm.mmap_lock_.LockKillable(subclass) ? Hold::kWrite : Hold::kNone) {
    if (held()) BeginSection();
  }
  /// For the teardown of an mm: a killed task has to clean up all the same.
  struct Unkillable {};
  MmWriter(Mm& mm, Unkillable /*tag*/) ABSL_NO_THREAD_SAFETY_ANALYSIS  // as above
      : mm_(mm),
        marks_(mm, DutiesOf(mm.options_.fault) | mm.options_.extra_duties),
        hold_(Hold::kWrite) {
    mm.mmap_lock_.Lock();
    BeginSection();
  }
  /// Mutants M7 and M13 alone: a stack that grows with mmap_lock held for read. M13 at least does
  /// as a writer does otherwise.
  struct GrowsUnderReadLock {};
  MmWriter(Mm& mm, GrowsUnderReadLock /*tag*/) ABSL_NO_THREAD_SAFETY_ANALYSIS  // as above
      : mm_(mm),
        marks_(mm, DutiesOf(mm.options_.fault) | mm.options_.extra_duties),
        hold_(Hold::kGrowing) {
    mm.mmap_lock_.LockShared();
    if (MutantOn(Mutant::kM13)) BeginSection();
  }
  ~MmWriter() { Release(); }
  MmWriter(const MmWriter&) = delete;
  MmWriter& operator=(const MmWriter&) = delete;

  [[nodiscard]] bool held() const { return hold_ != Hold::kNone; }

  /// Ends the section and all marks; the lock stays held for read.
  void Downgrade() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (hold_ == Hold::kGrowing) return;
    MM_DCHECK(hold_ == Hold::kWrite);
    EndSection();
    mm_.mmap_lock_.Downgrade();
    hold_ = Hold::kRead;
  }
  /// Ends the section and the hold early.
  void Release() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (hold_ == Hold::kWrite) {
      EndSection();
      mm_.mmap_lock_.Unlock();
    } else if (held()) {
      if (hold_ == Hold::kGrowing && MutantOn(Mutant::kM13)) EndSection();
      mm_.mmap_lock_.UnlockShared();
    }
    hold_ = Hold::kNone;
  }

  /// Write-locks `vma` until the section ends (Linux: vma_start_write). May sleep.
  void Mark(Vma& vma) {
    MM_DCHECK(hold_ == Hold::kWrite || hold_ == Hold::kGrowing);
    if (hold_ == Hold::kGrowing && MutantOn(Mutant::kM7)) return;
    marks_.Mark(vma);
  }
  /// Everything that is about to change is marked: waits for faults that began before, if that is
  /// what the mm's validating faults rely on (B14). May sleep.
  void AwaitFaults() const {
    if (AwaitsFaults()) Rcu::Synchronize();
  }
  [[nodiscard]] bool AwaitsFaults() const { return (marks_.duties() & kDutyGracePeriod) != 0; }
  /// Frees a detached VMA without rmap links: when the section has ended, or now if it has.
  void Free(Vma& vma);
  /// What upper entries that look empty are to zaps.
  [[nodiscard]] Holes holes() const {
    return (marks_.duties() & kDutyAskHoles) != 0 ? Holes::kAskUnderLock : Holes::kTrust;
  }

  [[nodiscard]] Mm& mm() const { return mm_; }
  [[nodiscard]] const MmOptions& options() const { return mm_.options_; }
  [[nodiscard]] const MmServices& services() const { return mm_.services_; }
  [[nodiscard]] MapleTree& tree() const { return mm_.tree_; }
  [[nodiscard]] PageTables& tables() const { return mm_.tables_; }
  [[nodiscard]] TlbContext& tlb() const { return mm_.tlb_; }
  [[nodiscard]] FaultTarget& fault_target() const { return mm_.fault_target_; }
  [[nodiscard]] MmPages& pages() const { return mm_.pages_; }
  [[nodiscard]] Hinted<uint64_t>& map_count() const { return mm_.map_count_; }
  [[nodiscard]] MergeCounts& merge_counts() const { return mm_.merge_counts_; }
  [[nodiscard]] Hinted<VirtAddr>& brk() const { return mm_.brk_; }
  [[nodiscard]] VmaFlags& default_flags() const { return mm_.default_flags_; }
  [[nodiscard]] VirtAddr task_size() const { return mm_.tables_.task_size(); }

  /// Whether the mm's limits let `pages` more of such a VMA be (Linux: may_expand_vm).
  [[nodiscard]] bool MayExpand(VmaFlags flags, uint64_t pages) const;
  /// Whether `pages` more may be committed (Linux: __vm_enough_memory under heuristic overcommit:
  /// a single request is only refused if it exceeds all memory and swap).
  [[nodiscard]] bool MayCommit(uint64_t pages) const {
    return pages <= mm_.options_.commit_limit_pages;
  }
  /// Whether `bytes` more may be locked, if `flags` lock at all (Linux: mlock_future_ok).
  [[nodiscard]] bool MayLock(VmaFlags flags, uint64_t bytes) const;
  /// Counts `pages` more, or less if negative, of VMAs with `flags`: by kind, committed and, if
  /// kLocked, locked (Linux: vm_stat_account and its companions).
  void Account(VmaFlags flags, int64_t pages) const;

 private:
  enum class Hold : uint8_t { kNone, kRead, kWrite, kGrowing };

  void BeginSection() {
    mm_.sequence_.WriteBegin();
    marks_.Begin(mm_.sequence_.value());
  }
  void EndSection() {
    // After the teardown the tree names VMAs that are freed: nobody will look at it any more.
    if (mm_.options_.validate_each_release && mm_.users_.Peek() != 0) [[unlikely]] {
      mm_.Validate(Mm::Validation::kLocked);
    }
    marks_.End();
    mm_.sequence_.WriteEnd();
    if (!dead_.empty()) FreeDead();
  }
  void FreeDead();
  void FreeToSlab(Vma& vma) const;

  Mm& mm_;
  VmaMarks marks_;
  Hold hold_;
  IntrusiveList<Vma, OnRemoval> dead_;  ///< to be freed when the marks have ended
};

}  // namespace faultline
