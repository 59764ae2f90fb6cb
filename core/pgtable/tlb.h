// SPDX-License-Identifier: Apache-2.0
//
// The TLBs of the simulated CPUs and the shootdowns that keep them honest (Linux:
// arch/x86/mm/tlb.c; DESIGN: the MMU is an actor too).
//
// Each CPU has a small, direct-mapped TLB under a spinlock of its own, which stands for the CPU's
// instruction stream: an access translates, and uses what it found, while holding it; a flush takes
// it for each CPU where the mm has run, as an interrupt would. Guarantee: when Flush returns, no
// access that used an old translation is under way, and none will begin.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/pgtable/entry.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Names an mm towards the TLBs: never reused (Linux: mm->context.ctx_id).
using AddressTag = StrongInt<struct AddressTagTag, uint64_t>;

/// One mm's side: where it may have translations.
struct TlbContext {
  AddressTag tag{0};
  /// Bit c mod 64: it has run on CPU c (Linux: mm_cpumask). Bits are set by Access and never
  /// cleared; read by Flush. Both use read-modify-writes, see Flush.
  Atomic<uint64_t> cpus{0};
  /// TlbGathers under way (Linux: mm->tlb_flush_pending). Written without a lock, see TlbGather.
  Atomic<uint32_t> gathers{0};
  /// Its gathers wait for the grace period that tables need, instead of leaving them to RCU (A10).
  /// Constant.
  bool frees_synchronously = false;
};

class TlbSet {
 public:
  static constexpr uint32_t kEntries = 64;
  /// Ranges longer than this many pages drop all of an mm's translations (Linux:
  /// tlb_single_page_flush_ceiling).
  static constexpr uint64_t kSinglePageCeiling = 33;

  struct Counts {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t flushes = 0;     ///< calls of Flush
    uint64_t shootdowns = 0;  ///< CPUs other than the caller's that a flush had to interrupt
  };

  explicit TlbSet(const CpuSet& cpus) : slots_(cpus) {}

  /// The CPU of the calling task while it translates and accesses.
  class [[nodiscard]] Access;

  /// Drops the translations of `range` from the TLB of every CPU where the mm has run. Legal under
  /// a page-table lock.
  void Flush(TlbContext& context, VirtRange range);
  /// Sums; exact when nobody accesses or flushes.
  [[nodiscard]] Counts counts() const;

 private:
  friend class Access;

  struct Line {
    AddressTag tag{0};  ///< 0: empty
    VirtPage page{0};
    Entry entry;
  };
  struct Slot {
    SpinLock<LockRank::kPerCpu> lock;
    std::array<Line, kEntries> lines ABSL_GUARDED_BY(lock);
    uint64_t hits ABSL_GUARDED_BY(lock) = 0;
    uint64_t misses ABSL_GUARDED_BY(lock) = 0;
    uint64_t shootdowns ABSL_GUARDED_BY(lock) = 0;  // of this CPU, by others
    Atomic<uint64_t> flushes{0};                    // by this CPU: a statistic without a lock
  };

  [[nodiscard]] static uint64_t BitOf(uint32_t cpu) { return uint64_t{1} << (cpu % 64); }
  [[nodiscard]] static Line& LineOf(Slot& slot, VirtPage page)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(slot.lock) {
    return slot.lines[page.value() % kEntries];
  }
  [[nodiscard]] uint32_t OwnCpu() const { return CurrentTask().cpu() % slots_.size(); }
  static void DropLocked(Slot& slot, AddressTag tag, VirtRange range)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(slot.lock);

  mutable PerCpu<Slot> slots_;  // mutable: counts() takes the locks
};

/// From translation to the end of the access: holds the TLB lock of one CPU. What it does meanwhile
/// takes no lock but those inside kPerCpu.
class TlbSet::Access {
 public:
  Access(TlbSet& tlbs, TlbContext& context);
  ~Access();
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;

  /// The cached translation of `page`; none if there is none.
  [[nodiscard]] Entry Find(VirtPage page);
  /// Remembers a present leaf entry, which was loaded during this Access.
  void Insert(VirtPage page, Entry entry);
  /// Drops one translation (INVLPG): after a fault on it.
  void Forget(VirtPage page);

 private:
  Slot& slot_;
  const AddressTag tag_;
};

}  // namespace faultline
