// SPDX-License-Identifier: Apache-2.0
//
// Mm: the memory of one simulated process (Linux: struct mm_struct and the system calls on it). Its
// VMAs live in a maple tree, its pages in page tables; mmap_lock guards both, fields of VMAs by the
// table in core/LOCKING.md. One source file for each operation, named after it.
//
// Every operation answers what the running kernel answers to the same raw arguments, partial
// effects of a failure included: what failed half-way leaves a prefix of whole per-VMA steps. Each
// may sleep; mmap_lock is taken killably, and a killed task gets EINTR before anything was done
// (not killable from the first mark on: DESIGN section 3).
//
// Life (DESIGN: exit): an Mm has users, who may call it, and a count, which keeps its memory. Exit
// refuses new users and kills the attached tasks' waits; the last user tears down.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/base/intrusive_list.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/fault/fault.h"
#include "core/fault/fault_options.h"
#include "core/fault/mmu.h"
#include "core/folio/frame_allocator.h"
#include "core/mm/abi.h"
#include "core/observe/activity.h"
#include "core/pagecache/mapping.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/tlb.h"
#include "core/rmap/anon_vma.h"
#include "core/sync/hinted.h"
#include "core/sync/sync.h"
#include "core/vma/maple_tree.h"
#include "core/vma/merge.h"
#include "core/vma/vma.h"
#include "core/vma/vma_marks.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Mm;
struct InMachine;  // tag: the mms of one machine

/// The mms of a machine that are not torn down, and how the faults of those fared that are. What is
/// asked of all mms is asked under a spinlock, which making and ending mms waits for meanwhile.
class MmList {
 public:
  void Add(Mm& mm) ABSL_LOCKS_EXCLUDED(lock_);
  /// `mm`, whose last user has gone, is about to be torn down: keeps what its faults counted.
  void Remove(Mm& mm) ABSL_LOCKS_EXCLUDED(lock_);
  /// Those that exist now. Using one takes a user of it, or that nobody tears it down meanwhile.
  [[nodiscard]] std::vector<Mm*> Snapshot() ABSL_LOCKS_EXCLUDED(lock_);
  [[nodiscard]] uint64_t size() ABSL_LOCKS_EXCLUDED(lock_);
  /// The sum of a counter of all mms that exist.
  [[nodiscard]] int64_t Sum(MmCounter counter) ABSL_LOCKS_EXCLUDED(lock_);

  /// How the faults of all mms fared, those that have exited included: since the last reset of all,
  /// and since the beginning.
  [[nodiscard]] FaultStatsSnapshot FaultStatistics() ABSL_LOCKS_EXCLUDED(lock_);
  [[nodiscard]] FaultStatsSnapshot FaultTotals() ABSL_LOCKS_EXCLUDED(lock_);
  /// Starts that at zero, of all mms and each, and returns what FaultStatistics was. A fault that
  /// ends meanwhile counts on one side of it.
  FaultStatsSnapshot ResetFaultStatistics() ABSL_LOCKS_EXCLUDED(lock_);
  /// Starts that of one mm at zero, and not what it adds to all.
  FaultStatsSnapshot ResetFaultStatistics(Mm& mm) ABSL_LOCKS_EXCLUDED(lock_);

 private:
  [[nodiscard]] FaultStatsSnapshot FaultTotalsLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  SpinLock<LockRank::kRegistry> lock_;
  IntrusiveList<Mm, InMachine> mms_ ABSL_GUARDED_BY(lock_);
  uint64_t count_ ABSL_GUARDED_BY(lock_) = 0;
  FaultStatsSnapshot exited_ ABSL_GUARDED_BY(lock_);    ///< totals of mms that are gone
  FaultStatsSnapshot reset_at_ ABSL_GUARDED_BY(lock_);  ///< totals of all at the last reset
};

/// What an Mm gets from its Machine. Everything outlives the Mm and the grace periods it asks for.
struct MmServices {
  FrameAllocator& frames;
  Heap& heap;
  CpuSet& cpus;
  TlbSet& tlbs;
  VmaSlab& vmas;
  AnonVmas& anon_vmas;
  Atomic<uint64_t>& next_address_tag;  ///< names for the TLBs
  Atomic<uint64_t>& next_inode;        ///< for shared anonymous memory
  MmList& mms;
};

/// How an Mm is set up; constant afterwards.
struct MmOptions {
  FaultOptions fault = {};  ///< locking scheme and table policies
  /// What writers do besides the duties of the scheme; for tests (kExtraDuties).
  WriteDuties extra_duties = 0;
  /// Where the mm's sequence begins: even, as when no writer is in. For tests of its overflow.
  uint64_t first_sequence = 0;
  uint32_t page_table_levels = 4;  ///< 4 or 5
  uint64_t max_map_count = 65530;  ///< vm.max_map_count
  /// The lowest address that placement gives: vm.mmap_min_addr or, if greater, what the kernel was
  /// configured with (CONFIG_LSM_MMAP_MIN_ADDR).
  uint64_t mmap_min_addr = 65536;
  /// vm.mmap_min_addr itself: below, a fixed place needs can_raw_io.
  uint64_t dac_mmap_min_addr = 65536;
  uint64_t stack_guard_gap = 256 * kPageSize;
  uint64_t fault_around_bytes = 65536;
  /// The top of where mmap places things top-down. Linux draws it at random below the stack.
  VirtAddr mmap_base{0x7fff'f7ff'f000};
  uint64_t legacy_base_offset = 0;  ///< how far the bottom-up base lies above a third of the space
  VirtAddr start_brk{0x5555'5555'a000};
  /// Where the stack began: what is mapped around it is shown as [stack]. 0: nothing is.
  VirtAddr start_stack{0};
  /// What one call may commit at most (vm.overcommit_memory 0: all of memory and swap).
  uint64_t commit_limit_pages = UINT64_MAX;
  uint64_t rlimit_as = UINT64_MAX;  ///< bytes, as the ones below
  uint64_t rlimit_data = UINT64_MAX;
  uint64_t rlimit_stack = 8 << 20;
  uint64_t rlimit_memlock = 8 << 20;
  bool can_ipc_lock = true;            ///< CAP_IPC_LOCK: rlimit_memlock does not count
  bool can_raw_io = true;              ///< CAP_SYS_RAWIO: dac_mmap_min_addr does not count
  bool thp_alignment = true;           ///< large anonymous mappings are aligned to 2 MiB
  bool validate_each_release = false;  ///< Validate(kLocked) before each end of a write section
};

/// Why no mm can be set up so, naming the field, its value and what is allowed; nothing if one can.
[[nodiscard]] std::optional<std::string> WhyRefused(const MmOptions& options);

/// Arguments of mmap, raw.
struct MmapArgs {
  VirtAddr addr{0};
  uint64_t length = 0;
  uint64_t prot = 0;
  uint64_t flags = 0;
  Mapping* file = nullptr;    ///< what the descriptor refers to; ignored with MAP_ANONYMOUS
  bool file_writable = true;  ///< the descriptor was opened for writing, too
  OpenFileId open_file = 0;   ///< which open of the file it is; different ones do not merge
  uint64_t offset = 0;        ///< bytes
};

/// What became of an access to memory.
enum class AccessEnd : uint8_t {
  kDone,
  kBadAddress,   ///< a signal for the program: abi::kSigSegv or abi::kSigBus
  kOutOfMemory,  ///< memory ran out: abi::kSigKill, from the OOM killer
  kKilled,       ///< the task was killed while it waited: abi::kSigKill, too
  /// In a NoWaitScope: it would have had to sleep. Nothing happened that counts, no signal came; to
  /// be done again by a task that may sleep.
  kWouldWait,
};

/// How an access to memory ended.
struct AccessOutcome {
  int signal = 0;       ///< 0: none
  int code = 0;         ///< si_code
  VirtAddr address{0};  ///< si_addr
  AccessEnd end = AccessEnd::kDone;
  [[nodiscard]] bool ok() const { return end == AccessEnd::kDone; }
};

/// One line of /proc/PID/maps.
struct MapsLine {
  VirtRange range;
  VmaFlags flags = 0;
  uint64_t offset = 0;               ///< bytes; of files only, else 0
  const Mapping* mapping = nullptr;  ///< null: anonymous
};

/// Pages of an mm by kind; written under mmap_lock held for write, read by anybody as hints.
struct MmPages {
  Hinted<uint64_t> total;      ///< mm->total_vm
  Hinted<uint64_t> data;       ///< mm->data_vm: private and writable
  Hinted<uint64_t> exec;       ///< mm->exec_vm
  Hinted<uint64_t> stack;      ///< mm->stack_vm
  Hinted<uint64_t> locked;     ///< mm->locked_vm
  Hinted<uint64_t> committed;  ///< of VMAs with kAccount
  friend bool operator==(const MmPages&, const MmPages&) = default;
};

class MmWriter;

class Mm : public ListNode<InMachine>, public VmaOwner {
 public:
  /// With one user, the caller. EINVAL if WhyRefused(options), which says why; ENOMEM leaves
  /// nothing behind.
  [[nodiscard]] static Result<Mm*> Create(const MmServices& services, const MmOptions& options);
  Mm(const Mm&) = delete;
  Mm& operator=(const Mm&) = delete;

  // -- System calls: by a user --------------------------------------------------------------------

  [[nodiscard]] Result<VirtAddr> Mmap(const MmapArgs& args);
  [[nodiscard]] Result<void> Munmap(VirtAddr addr, uint64_t length);
  [[nodiscard]] Result<void> Mprotect(VirtAddr addr, uint64_t length, uint64_t prot);
  [[nodiscard]] Result<VirtAddr> Mremap(VirtAddr addr, uint64_t old_length, uint64_t new_length,
                                        uint64_t flags, VirtAddr new_addr);
  [[nodiscard]] Result<void> Madvise(VirtAddr addr, uint64_t length, int advice);
  [[nodiscard]] Result<void> Mseal(VirtAddr addr, uint64_t length, uint64_t flags);
  /// The break afterwards: `addr` if it could be set, else as it was. EINTR only.
  [[nodiscard]] Result<VirtAddr> Brk(VirtAddr addr);
  [[nodiscard]] Result<void> Mlock(VirtAddr addr, uint64_t length);
  [[nodiscard]] Result<void> Mlock2(VirtAddr addr, uint64_t length, uint64_t flags);
  [[nodiscard]] Result<void> Munlock(VirtAddr addr, uint64_t length);
  [[nodiscard]] Result<void> Mlockall(uint64_t flags);
  [[nodiscard]] Result<void> Munlockall();
  /// A copy-on-write copy with one user, the caller.
  [[nodiscard]] Result<Mm*> Fork();

  // -- Accesses of its threads: by a user ---------------------------------------------------------

  /// Loads or stores the aligned word at `addr`, faulting pages in as the hardware would; `addr` is
  /// rounded down to a multiple of 8.
  [[nodiscard]] AccessOutcome Read(VirtAddr addr, uint64_t& word);
  [[nodiscard]] AccessOutcome Write(VirtAddr addr, uint64_t word);
  /// An access without data.
  [[nodiscard]] AccessOutcome Touch(VirtAddr addr, AccessKind access);
  /// One page fault of user mode, whether or not the page is there already: the ladder of
  /// BEHAVIOURS section 1.5 (user_fault.cc).
  [[nodiscard]] AccessOutcome Fault(const FaultRequest& request);

  /// Frees the empty PTE tables below the VMAs that map `mapping`, in whichever mms, while faults
  /// go on. The caller keeps the Mapping. May sleep. (Linux: retract_page_tables)
  static void ReclaimTables(Mapping& mapping);

  // -- Life ---------------------------------------------------------------------------------------

  /// One user more, unless the mm is dying. By a user, or by who holds a count.
  [[nodiscard]] bool AddUser();
  /// The caller stops using it. The last one tears everything down and drops the users' count.
  void DropUser();
  /// Refuses new users and ends the killable waits of attached tasks, now and later. By a user, who
  /// stays one.
  void Exit();
  /// `task` works for this mm: Exit kills its waits. A task is attached to one mm at a time.
  void AttachTask(Task& task) ABSL_LOCKS_EXCLUDED(tasks_lock_);
  void DetachTask(Task& task) ABSL_LOCKS_EXCLUDED(tasks_lock_);
  /// How many tasks are attached now.
  [[nodiscard]] size_t attached_tasks() ABSL_LOCKS_EXCLUDED(tasks_lock_);
  /// Whether it was told to exit; a no may be out of date by the time it is looked at.
  [[nodiscard]] bool is_dying() const { return dying_.Load(kAcquire) != 0; }  // pairs with Exit

  // -- Looking -----------------------------------------------------------------------------------

  /// Visits the VMAs in order under mmap_lock held for read.
  void ForEachVma(const std::function<void(const MapsLine&)>& visit);
  /// The page as pagemap shows it; nothing is faulted in. mmap_lock is taken for read.
  [[nodiscard]] PageView View(VirtAddr page);
  /// Visits every page of `range` that has an entry in the page tables, in order, as pagemap shows
  /// it; nothing is faulted in. mmap_lock is taken for read.
  void ForEachPage(VirtRange range, const std::function<void(VirtAddr, const PageView&)>& visit);
  [[nodiscard]] uint64_t map_count() const { return map_count_; }
  [[nodiscard]] const MmPages& pages() const { return pages_; }
  [[nodiscard]] const MergeCounts& merge_counts() const { return merge_counts_; }
  [[nodiscard]] const MmCounters& counters() const { return counters_; }
  /// How its faults fared (B17).
  [[nodiscard]] FaultStats& fault_stats() { return fault_stats_; }
  /// Starts that at zero and returns what it was; the machine's sum over all its mms goes on. A
  /// fault that ends meanwhile counts on one side of it. By a user.
  FaultStatsSnapshot ResetFaultStatistics() { return services_.mms.ResetFaultStatistics(*this); }
  [[nodiscard]] const MmOptions& options() const { return options_; }
  [[nodiscard]] VirtAddr brk() const { return brk_; }
  /// The end of user space.
  [[nodiscard]] VirtAddr task_size() const { return tables_.task_size(); }

  /// How much ValidateMm may look at.
  enum class Validation : uint8_t {
    kQuiescent,  ///< nobody else uses the mm: everything
    kLocked,     ///< the caller holds mmap_lock for write: what is true while other locks are held
  };
  /// Aborts if an invariant of tree, VMAs, tables, counts or references does not hold (V4).
  void Validate(Validation validation = Validation::kQuiescent);
  /// Visits every present, counted leaf entry. Nobody else uses the mm. For Machine::Validate.
  void ForEachMappedFolio(const std::function<void(Folio&)>& visit);

  /// Adds a VMA as execve left it, for recordings and imports: no merging, no accounting rules.
  /// EEXIST if something is there.
  [[nodiscard]] Result<void> Import(VirtRange range, VmaFlags flags, Mapping* mapping,
                                    PageIndex pgoff);

 private:
  friend class MmReader;  // with a hold of mmap_lock comes access to what it guards:
  friend class MmWriter;  // core/mm/mm_lock.h
  friend class VmaScan;   // looks without a hold: core/mm/vma_scan.h

  Mm(const MmServices& services, const MmOptions& options);
  ~Mm() override;
  void FreeMemory() override;
  [[nodiscard]] Result<void> LockSpan(VirtAddr addr, uint64_t length, VmaFlags lock_flags);
  static void LockEverything(MmWriter& writer, VmaFlags lock_flags);
  void TearDown();
  void ReclaimTables(VirtRange range);

  const MmServices services_;
  const MmOptions options_;

  // Each on lines of its own: what faults write, or read while others write.
  alignas(kCacheLinePad) RwSem<LockRank::kMmapLock> mmap_lock_;

  // Written under mmap_lock held for write.
  alignas(kCacheLinePad) MapleTree tree_;
  Hinted<uint64_t> map_count_;
  MmPages pages_;
  Hinted<VirtAddr> brk_;
  VmaFlags default_flags_ = 0;  ///< of mlockall(MCL_FUTURE)
  MergeCounts merge_counts_;

  // Constant, or pointers to what is; faults read them.
  alignas(kCacheLinePad) MmCounters counters_;
  FaultStats fault_stats_;
  FaultTarget fault_target_;
  const FaultFunction fault_;  ///< of the scheme

  // Faults read the root, and write the lock behind it where an upper table is missing.
  alignas(kCacheLinePad) PageTables tables_;
  alignas(kCacheLinePad) TlbContext tlb_;
  alignas(kCacheLinePad) SpinLock<LockRank::kPageTable> anon_vma_lock_;

  alignas(kCacheLinePad) Atomic<uint32_t> users_{1};
  Atomic<uint8_t> dying_{0};
  SpinLock<LockRank::kRegistry> tasks_lock_;
  std::vector<Task*> tasks_ ABSL_GUARDED_BY(tasks_lock_);
};

}  // namespace faultline
