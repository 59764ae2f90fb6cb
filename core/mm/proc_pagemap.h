// SPDX-License-Identifier: Apache-2.0
//
// The pages of a range that have an entry in the page tables, as columns, page by page of the
// reading (Linux: pagemap_read in fs/proc/task_mmu.c; here without the pages that have nothing to
// say). mmap_lock is held for read for a page of the reading; nothing is faulted in.
//
// Invariant: the columns of a PagemapPage have one length, and addresses ascend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/mm/mm.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The upper eight of the 64 bits that the kernel has for a page.
namespace pagemap_flag {
inline constexpr uint8_t kPresent = 0x80;       ///< PM_PRESENT, bit 63
inline constexpr uint8_t kFileOrShared = 0x20;  ///< PM_FILE, bit 61
inline constexpr uint8_t kGuard = 0x04;         ///< PM_GUARD_REGION, bit 58
}  // namespace pagemap_flag

struct PagemapPage {
  std::vector<VirtAddr> addresses;
  std::vector<uint8_t> flags;
  std::vector<uint64_t> words;   ///< the first of each page, 0 if it is not present
  std::optional<VirtAddr> next;  ///< where the next page of the reading begins; none: at its end
};

/// At most `most` pages of `range`, which is page-aligned; `most` is not 0. EINTR. By a user of the
/// mm, with no lock held; may sleep.
[[nodiscard]] Result<PagemapPage> ReadPagemap(Mm& mm, VirtRange range, size_t most);

}  // namespace faultline
