// SPDX-License-Identifier: Apache-2.0
//
// VmaScan: the VMAs of an mm for onlookers, one after another in address order, in three modes
// (Linux: m_start and m_next of fs/proc/task_mmu.c, lock_next_vma of mm/mmap_lock.c). What reads
// maps, smaps and their kin goes through it alone.
//
// kWholeLock keeps mmap_lock for read from the first VMA to the end of the scan. The other two keep
// nothing from one VMA to the next: kPerVma holds the lock of each by itself, as a VmaReader;
// kRcu copies it and checks the copy. A VMA that is being changed, or whose scheme has no lock on
// VMAs, is looked at under mmap_lock, which is let go again behind it.
//
// Tearing: between two looks anything may happen, so a VMA may be seen twice, or in its old or its
// new form. Guarantee: memory that is mapped all the time is in some VMA that a scan sees. For each
// look takes the address of the next VMA from one state of the tree, in which there was nothing
// before it, and then a VMA that contains this very address.
#pragma once

#include <cstdint>
#include <optional>

#include <absl/functional/function_ref.h>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/mm/mm_lock.h"
#include "core/sync/sync_clock.h"
#include "core/vma/vma_view.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What keeps VMAs from changing while they are looked at.
enum class ReadMode : uint8_t {
  kWholeLock,  ///< mmap_lock, for the whole scan (Linux before 6.17; smaps to this day)
  kPerVma,     ///< the lock of one VMA at a time (Linux since 6.17)
  kRcu,        ///< nothing: each is copied in an RCU section and the copy checked
};

class VmaScan {
 public:
  /// Whether the VMA is still as it was copied. Asked with the lock of a page table held, before
  /// what its entries say is taken for the VMA's: nobody zaps there until it is released.
  using StillThere = absl::FunctionRef<bool()>;
  /// What is done with a VMA, without sleeping. Its Mapping may be read meanwhile; nothing but its
  /// address may be kept. False: StillThere said no, nothing is changed, and it is to be called
  /// again.
  using Use = absl::FunctionRef<bool(const VmaView& vma, StillThere still_there)>;

  /// The caller is a user of the mm to the end of the scan.
  VmaScan(Mm& mm, ReadMode mode);
  VmaScan(const VmaScan&) = delete;
  VmaScan& operator=(const VmaScan&) = delete;

  /// Uses the first VMA that ends behind `from`. False: there is none. EINTR: killed while waiting
  /// for mmap_lock. No lock of the mm is held by others means than this scan; may sleep.
  [[nodiscard]] Result<bool> Next(VirtAddr from, Use use);
  /// Whether there is such a VMA now.
  [[nodiscard]] bool HasNext(VirtAddr from) const;
  /// Between two looks: if somebody waits for mmap_lock and the scan has it, it is let go and
  /// waited for anew (Linux: mmap_lock_is_contended in show_smaps_rollup). EINTR.
  [[nodiscard]] Result<void> LetOthersIn();
  /// For uses to walk.
  [[nodiscard]] PageTables& tables() const { return target_.tables; }
  /// Ends the scan. Returns how long mmap_lock or locks of VMAs were held, by SyncClockNs.
  uint64_t End();

 private:
  /// What became of a look.
  enum class Look : uint8_t { kDone, kNothingThere, kContended };
  /// Adds how long it lives.
  class HoldTime {
   public:
    explicit HoldTime(uint64_t& sum) : sum_(sum), begin_(SyncClockNs()) {}
    ~HoldTime() { sum_ += SyncClockNs() - begin_; }
    HoldTime(const HoldTime&) = delete;
    HoldTime& operator=(const HoldTime&) = delete;

   private:
    uint64_t& sum_;
    uint64_t begin_;
  };
  struct TimedReader {
    TimedReader(Mm& mm, uint64_t& sum) : reader(mm), time(sum) {}
    MmReader reader;
    HoldTime time;  // behind: it stops before the lock is released
  };

  [[nodiscard]] Result<bool> NextUnderMmapLock(VirtAddr from, Use use);
  [[nodiscard]] Look LookByLock(VirtAddr from, Use use);
  [[nodiscard]] Look LookByCopy(VirtAddr from, Use use) const;
  [[nodiscard]] std::optional<VirtAddr> AddressOfNext(VirtAddr from) const;

  Mm& mm_;
  FaultTarget& target_;
  const ReadMode mode_;
  uint64_t held_ns_ = 0;
  std::optional<TimedReader> whole_;  ///< of kWholeLock, from the first look on
};

}  // namespace faultline
