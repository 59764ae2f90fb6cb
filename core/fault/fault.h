// SPDX-License-Identifier: Apache-2.0
//
// Page faults (Linux: do_user_addr_fault, handle_mm_fault and below). One path, written once
// (fault_path.h): access check, walk and allocate tables, prepare by kind of fault, commit under
// the page-table lock. How the VMA is found and kept trustworthy is a scheme's affair
// (fault_scheme.h, schemes/); a fault that a scheme cannot finish goes one rung down, at last to
// mmap_lock. Nothing here changes the tree: stacks are expanded in core/mm.
//
// B28: the first anonymous page of a VMA gives it an anon_vma, by the rules of
// find_mergeable_anon_vma. B30: the PTE table is allocated last. Loser of a race for an entry frees
// what it prepared and reports success: the access is repeated anyway.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/fault/fault_options.h"
#include "core/observe/fault_counters.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/tlb.h"
#include "core/rmap/anon_vma.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class FaultEventScope;

enum class AccessKind : uint8_t { kRead, kWrite, kExec };

/// Who faulted (Linux: FAULT_FLAG_USER). Only faults of user mode try to do without mmap_lock.
enum class FaultMode : uint8_t { kUser, kKernel };

/// What a fault is about; does not change on its way.
struct FaultRequest {
  VirtAddr addr;
  AccessKind access = AccessKind::kRead;
  FaultMode mode = FaultMode::kUser;
};

/// Bits of how a fault ended (Linux: vm_fault_t, B27). 0: the page is there, or somebody else was
/// first; repeat the access.
using FaultOutcome = uint32_t;
namespace fault_bit {
inline constexpr FaultOutcome kOom = 1u << 0;      ///< no memory; nothing was changed
inline constexpr FaultOutcome kSigbus = 1u << 1;   ///< behind the end of the Mapping
inline constexpr FaultOutcome kSigsegv = 1u << 6;  ///< a guard page: SEGV_MAPERR
/// Nothing was left to map: fault-around did it, or the entry of a Mapping's page is not none any
/// more, or its table has gone (B33). Repeat the access.
inline constexpr FaultOutcome kNoPage = 1u << 8;
/// Not on this rung: only between the rungs of one fault.
inline constexpr FaultOutcome kRetry = 1u << 10;
// Ours, for what Linux decides outside of vm_fault_t:
inline constexpr FaultOutcome kBadAccess = 1u << 24;   ///< the VMA forbids it: SEGV_ACCERR
inline constexpr FaultOutcome kNoVma = 1u << 25;       ///< nothing is mapped there: SEGV_MAPERR
inline constexpr FaultOutcome kBelowStack = 1u << 26;  ///< below a VMA that grows down
inline constexpr FaultOutcome kKilled = 1u << 27;      ///< a fatal signal ended a wait
/// In a NoWaitScope: it would have to sleep, and nothing counts. To be made again elsewhere.
inline constexpr FaultOutcome kWouldWait = 1u << 28;
/// What a fault that ended without a signal may have.
inline constexpr FaultOutcome kNoSignal = kNoPage;
/// What a caller with a lock of its own may get.
inline constexpr FaultOutcome kErrors = kOom | kSigbus | kSigsegv | kBadAccess;
}  // namespace fault_bit

/// All that a fault sees of an mm.
struct FaultTarget {
  VmaOwner& mm;
  RwSem<LockRank::kMmapLock>& mmap_lock;
  PageTables& tables;
  MapleTree& tree;
  TlbSet& tlbs;
  TlbContext& tlb;
  AnonVmas& anon_vmas;
  FrameAllocator& frames;
  /// Guards setting a VMA's anon_vma against another fault (B5); not for page tables.
  SpinLock<LockRank::kPageTable>& anon_vma_lock;
  FaultStats& stats;
  FaultOptions options;
  uint64_t fault_around_bytes;  ///< a power of two, at least kPageSize (B35)
};

/// Whether a VMA with `flags` allows the access (Linux: access_error in arch/x86/mm/fault.c: any
/// access right makes a page readable).
[[nodiscard]] bool AccessAllowed(VmaFlags flags, AccessKind access);

/// One fault under a scheme, from its top rung down. No lock is held; may sleep. kNoVma and
/// kBelowStack were found under mmap_lock. `event` is told of every rung; its caller opened it,
/// says how the fault ended, and may go on with it: below a stack the fault is not over yet, and
/// not counted as ended.
using FaultFunction = FaultOutcome (*)(FaultTarget& target, const FaultRequest& request,
                                       FaultEventScope& event);
/// The function of target.options.scheme.
[[nodiscard]] FaultFunction FaultFunctionOf(SchemeName scheme);

/// What statistics call a fault that ended with `outcome` and that steps called `kind`.
[[nodiscard]] inline FaultKind KindOf(FaultOutcome outcome, FaultKind kind) {
  return (outcome & ~fault_bit::kNoSignal) != 0 ? FaultKind::kError : kind;
}

/// How a fault ended that its caller counts, or nobody does.
struct LockedFault {
  FaultOutcome outcome = 0;
  FaultKind kind = FaultKind::kSpurious;
};

/// Handles one fault in `vma`, which contains the address and is stable: mmap_lock is held, for
/// read or write. May sleep.
[[nodiscard]] LockedFault HandleFaultLocked(FaultTarget& target, Vma& vma,
                                            const FaultRequest& request);

/// Gives `vma` an anon_vma if it has none: a neighbour's where the two could merge, else a new one.
/// mmap_lock is held. (Linux: anon_vma_prepare, find_mergeable_anon_vma)
[[nodiscard]] Result<void> PrepareAnonVma(FaultTarget& target, Vma& vma);

/// Whether page tables already allow the access without a fault (for populate: GUP's
/// follow_page_mask). Takes page-table locks.
[[nodiscard]] bool IsMappedFor(FaultTarget& target, const FaultRequest& request);

}  // namespace faultline
