// SPDX-License-Identifier: Apache-2.0
//
// VmaMarks: the VMA write locks of one section, that is from mmap_lock taken for write to its
// release or downgrade (Linux: vma_start_write, vma_end_write_all; B2, B18, B20). There is no
// unlock of one VMA: they all end together.
//
// One write protocol serves the readers of every scheme (DESIGN section 4): what it does for each
// kind of reader is a duty, and an mm has the duties of its scheme, and any more that its options
// ask for. Guarantee: when Mark returns, no reader of a kind that a duty covers is inside the VMA,
// and none will get in, or pass its check, until the section ends.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What a writer does for readers; a set of these.
enum WriteDuty : uint32_t {
  kDutyDrainCounts = 1u << 0,  ///< waits for those who count (vma_refcnt and what falls back to it)
  kDutyPassRwsem = 1u << 1,    ///< waits for those who hold the rwsem (vma_lock)
  kDutyHoldRwsem = 1u << 2,    ///< the same, and keeps it until the section ends (vma_rwsem)
  kDutyBumpVma = 1u << 3,      ///< makes copies of the VMA invalid (spf_vma_seq, rcu_*): see Vma
  kDutyAskHoles = 1u << 4,     ///< asks under the table's lock whether an entry is empty (M17)
  kDutyGracePeriod = 1u << 5,  ///< waits for RCU readers before entries change (B14)
};
using WriteDuties = uint32_t;
/// What correctness tests add to the duties of a scheme. The rwsem has but one protocol at a time,
/// and a grace period would hide what the others guard against.
inline constexpr WriteDuties kExtraDuties =
    kDutyDrainCounts | kDutyBumpVma | kDutyAskHoles | kDutyPassRwsem;

class VmaMarks {
 public:
  /// `mm` outlives it.
  VmaMarks(VmaOwner& mm, WriteDuties duties) : mm_(mm), duties_(duties) {}
  ~VmaMarks() { MM_DCHECK(marked_ == nullptr); }
  VmaMarks(const VmaMarks&) = delete;
  VmaMarks& operator=(const VmaMarks&) = delete;

  /// `section` is the mm's sequence, which is odd now.
  void Begin(uint64_t section) { section_ = section; }
  /// Write-locks the VMA until End. Marking twice is once. May sleep.
  void Mark(Vma& vma);
  /// Ends what the mm's sequence, which becomes even next, does not end. VMAs that were marked are
  /// not freed before.
  void End();

  [[nodiscard]] bool IsMarked(const Vma& vma) const { return vma.lock_sequence() == section_; }
  [[nodiscard]] WriteDuties duties() const { return duties_; }

 private:
  VmaOwner& mm_;
  const WriteDuties duties_;
  uint64_t section_ = 0;
  Vma* marked_ = nullptr;  ///< those that End has to visit, by next_marked_
};

}  // namespace faultline
