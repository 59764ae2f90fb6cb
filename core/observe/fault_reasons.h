// SPDX-License-Identifier: Apache-2.0
//
// The vocabulary of explanations: which rungs of the ladder a fault climbed, why it left each, and
// what it came to (S10, M-1; BEHAVIOURS sections 1.5 and B28). Linux counts four things about them
// (B17); these say which of the causes it was.
//
// The names are those of statistics, event records and reports.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How a fault is protected while it is on a rung, from the top of the ladder down.
enum class FaultRung : uint8_t {
  kValidated,  ///< no lock: a copy of the VMA and a check (spf_*, rcu_*)
  kVmaLock,    ///< the VMA's own lock or count
  kMmapLock,   ///< mmap_lock held for read
  kCount
};

/// Why a fault left a rung, or did not get onto it.
enum class LeaveReason : uint8_t {
  kNone,          ///< it did not: it ended there
  kKernelMode,    ///< not tried: only faults of user mode try the upper rungs
  kNoVma,         ///< nothing is mapped there, as far as one could see without mmap_lock
  kWriteLocked,   ///< a writer is at work on the VMA, or on the mm where the mm's sequence decides
  kContended,     ///< the VMA's lock could not be had at once, for another cause
  kDetached,      ///< the VMA found had left the tree (MISS: looked up again)
  kOtherMm,       ///< the VMA found had been recycled for another mm
  kRangeMoved,    ///< the VMA found did not contain the address any more
  kChanged,       ///< validation failed: a writer came in between
  kNoAnonVma,     ///< the VMA's first anonymous page, and mmap_lock was not to be had (B28)
  kNoUpperTable,  ///< an upper table is missing, which this scheme leaves to others
  kNoTable,       ///< a page table could not be allocated without sleeping
  kNoPage,        ///< a page, or memory for one of a file, could not be had without sleeping
  kRefused,       ///< a kind of fault that the scheme leaves to others
  kTableGone,     ///< the table to be written left the tree
  kKilled,        ///< a fatal signal
  kCount
};

/// What a fault came to, where it ended.
enum class FaultKind : uint8_t {
  kAnon,            ///< a new anonymous page
  kZeroPage,        ///< the zero page, for a read of anonymous memory
  kWriteProtected,  ///< a write to a page that was mapped read-only: copied or taken over
  kMappingRead,     ///< a read of a file or of shared memory, fault-around included
  kMappingCow,      ///< a write to a private mapping of a file: copied at once
  kMappingShared,   ///< a write to a shared mapping
  kSwap,            ///< a page that comes back from swap
  kSpurious,        ///< nothing to do: another task was first, or the page was there
  kError,           ///< it ended in a signal
  kCount
};

[[nodiscard]] std::string_view Name(FaultRung rung);
[[nodiscard]] std::string_view Name(FaultKind kind);
[[nodiscard]] std::string_view Name(LeaveReason reason);

}  // namespace faultline
