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
#include "core/mm/mm.h"
#include "core/vma/vma_finder.h"

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
        hold_(mm.mmap_lock_.LockKillable(subclass) ? Hold::kWrite : Hold::kNone) {
    if (held()) BeginSection();
  }
  /// For the teardown of an mm: a killed task has to clean up all the same.
  struct Unkillable {};
  MmWriter(Mm& mm, Unkillable /*tag*/) ABSL_NO_THREAD_SAFETY_ANALYSIS  // as above
      : mm_(mm),
        hold_(Hold::kWrite) {
    mm.mmap_lock_.Lock();
    BeginSection();
  }
  ~MmWriter() { Release(); }
  MmWriter(const MmWriter&) = delete;
  MmWriter& operator=(const MmWriter&) = delete;

  [[nodiscard]] bool held() const { return hold_ != Hold::kNone; }

  /// Ends the section and all marks; the lock stays held for read.
  void Downgrade() ABSL_NO_THREAD_SAFETY_ANALYSIS {
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
    } else if (hold_ == Hold::kRead) {
      mm_.mmap_lock_.UnlockShared();
    }
    hold_ = Hold::kNone;
  }

  /// Write-locks `vma` until the section ends (Linux: vma_start_write).
  void Mark(Vma& vma) const {
    MM_DCHECK(hold_ == Hold::kWrite);
    vma.Mark(section_);
  }

  [[nodiscard]] Mm& mm() const { return mm_; }
  [[nodiscard]] const MmOptions& options() const { return mm_.options_; }
  [[nodiscard]] const MmServices& services() const { return mm_.services_; }
  [[nodiscard]] MapleTree& tree() const { return mm_.tree_; }
  [[nodiscard]] PageTables& tables() const { return mm_.tables_; }
  [[nodiscard]] TlbContext& tlb() const { return mm_.tlb_; }
  [[nodiscard]] FaultTarget& fault_target() const { return mm_.fault_target_; }
  [[nodiscard]] MmPages& pages() const { return mm_.pages_; }
  [[nodiscard]] uint64_t& map_count() const { return mm_.map_count_; }
  [[nodiscard]] MergeCounts& merge_counts() const { return mm_.merge_counts_; }
  [[nodiscard]] VirtAddr& brk() const { return mm_.brk_; }
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
  enum class Hold : uint8_t { kNone, kRead, kWrite };

  void BeginSection() {
    mm_.sequence_.WriteBegin();
    section_ = mm_.sequence_.value();
  }
  void EndSection() {
    // After the teardown the tree names VMAs that are freed: nobody will look at it any more.
    if (mm_.options_.validate_each_release && mm_.users_.Peek() != 0) [[unlikely]] {
      mm_.Validate(Mm::Validation::kLocked);
    }
    mm_.sequence_.WriteEnd();
  }

  Mm& mm_;
  Hold hold_;
  uint64_t section_ = 0;  ///< the mm's odd sequence
};

}  // namespace faultline
