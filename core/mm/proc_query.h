// SPDX-License-Identifier: Apache-2.0
//
// One VMA by a question: ioctl PROCMAP_QUERY of /proc/PID/maps (Linux: do_procmap_query in
// fs/proc/task_mmu.c). The numbers of flags are the kernel's.
//
// The VMAs that do not match are looked at one by one, as the mode says (vma_scan.h); so under
// kPerVma and kRcu a question that skips many holds up nobody for longer than one of them.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/mm/proc_maps.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Bits of a question, and of what is said of a VMA (Linux: enum procmap_query_flags).
namespace query_flag {
inline constexpr uint64_t kReadable = 0x01;  ///< only such a VMA; or: it is one
inline constexpr uint64_t kWritable = 0x02;
inline constexpr uint64_t kExecutable = 0x04;
inline constexpr uint64_t kShared = 0x08;
inline constexpr uint64_t kCoveringOrNext = 0x10;  ///< if none covers the address, the next one
inline constexpr uint64_t kFileBacked = 0x20;      ///< only one that maps a file
inline constexpr uint64_t kPermissions = kReadable | kWritable | kExecutable | kShared;
inline constexpr uint64_t kAll = kPermissions | kCoveringOrNext | kFileBacked;
}  // namespace query_flag

/// The answer.
struct QueriedVma {
  VmaRecord vma;
  uint64_t query_flags = 0;  ///< its permissions, as query_flag has them
  uint64_t page_bytes = kPageSize;
};

/// The VMA that covers `addr` and is as `flags` ask, or, with kCoveringOrNext, the first one behind
/// that is. EINVAL: unknown flags; ESRCH: the mm is exiting; ENOENT: there is none; EINTR. By a
/// user of the mm, with no lock held; may sleep.
[[nodiscard]] Result<QueriedVma> QueryVma(Mm& mm, ReadMode mode, VirtAddr addr, uint64_t flags);

}  // namespace faultline
