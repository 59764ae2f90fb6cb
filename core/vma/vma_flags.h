// SPDX-License-Identifier: Apache-2.0
//
// The flags of a VMA (Linux: vm_flags_t, VM_* in include/linux/mm.h). The numbers are Linux's, so
// that a reader of one reads the other. Two VMAs merge only if their flags are equal but for sticky
// ones.
#pragma once

#include <cstdint>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A set of VmaFlag bits.
using VmaFlags = uint64_t;

namespace vma_flag {
inline constexpr VmaFlags kRead = 1ull << 0;
inline constexpr VmaFlags kWrite = 1ull << 1;
inline constexpr VmaFlags kExec = 1ull << 2;
inline constexpr VmaFlags kShared = 1ull << 3;
inline constexpr VmaFlags kMayRead = 1ull << 4;  ///< mprotect may set kRead, and so on
inline constexpr VmaFlags kMayWrite = 1ull << 5;
inline constexpr VmaFlags kMayExec = 1ull << 6;
inline constexpr VmaFlags kMayShare = 1ull << 7;
inline constexpr VmaFlags kGrowsDown = 1ull << 8;
inline constexpr VmaFlags kPfnMap = 1ull << 10;  ///< of the imported [vvar]: frames without a Folio
/// Guard markers were set in it at some time; sticky (Linux: VM_MAYBE_GUARD).
inline constexpr VmaFlags kMaybeGuard = 1ull << 11;
inline constexpr VmaFlags kLocked = 1ull << 13;
inline constexpr VmaFlags kIo = 1ull << 14;
inline constexpr VmaFlags kSeqRead = 1ull << 15;
inline constexpr VmaFlags kRandRead = 1ull << 16;
inline constexpr VmaFlags kDontCopy = 1ull << 17;  ///< absent in the child of a fork
inline constexpr VmaFlags kDontExpand = 1ull << 18;
inline constexpr VmaFlags kLockOnFault = 1ull << 19;
inline constexpr VmaFlags kAccount = 1ull << 20;  ///< its pages count as committed
inline constexpr VmaFlags kNoReserve = 1ull << 21;
inline constexpr VmaFlags kSync = 1ull << 23;
inline constexpr VmaFlags kWipeOnFork = 1ull << 25;
inline constexpr VmaFlags kDontDump = 1ull << 26;
inline constexpr VmaFlags kMixedMap = 1ull << 28;
inline constexpr VmaFlags kHugePage = 1ull << 29;
inline constexpr VmaFlags kNoHugePage = 1ull << 30;
inline constexpr VmaFlags kMergeable = 1ull << 31;
inline constexpr VmaFlags kDroppable = 1ull << 40;
inline constexpr VmaFlags kSealed = 1ull << 42;

inline constexpr VmaFlags kStack = kGrowsDown;
inline constexpr VmaFlags kAccess = kRead | kWrite | kExec;
inline constexpr VmaFlags kLockedMask = kLocked | kLockOnFault;
/// What keeps a VMA from being merged at all (Linux: VM_SPECIAL).
inline constexpr VmaFlags kSpecial = kIo | kDontExpand | kPfnMap | kMixedMap;
/// Flags that do not keep VMAs from merging: the result has those of all parts (Linux: VM_STICKY).
inline constexpr VmaFlags kSticky = kMaybeGuard;
/// Every flag above.
inline constexpr VmaFlags kAll = kAccess | kShared | kMayRead | kMayWrite | kMayExec | kMayShare |
                                 kGrowsDown | kPfnMap | kMaybeGuard | kLockedMask | kIo | kSeqRead |
                                 kRandRead | kDontCopy | kDontExpand | kAccount | kNoReserve |
                                 kSync | kWipeOnFork | kDontDump | kMixedMap | kHugePage |
                                 kNoHugePage | kMergeable | kDroppable | kSealed;
/// PROT_* bits equal these.
static_assert(kRead == 1 && kWrite == 2 && kExec == 4);
}  // namespace vma_flag

/// Some access is allowed (Linux: vma_is_accessible).
[[nodiscard]] constexpr bool IsAccessible(VmaFlags flags) {
  return (flags & vma_flag::kAccess) != 0;
}
/// A private mapping that may ever be written (Linux: is_cow_mapping).
[[nodiscard]] constexpr bool IsCowMapping(VmaFlags flags) {
  return (flags & (vma_flag::kShared | vma_flag::kMayWrite)) == vma_flag::kMayWrite;
}

}  // namespace faultline
