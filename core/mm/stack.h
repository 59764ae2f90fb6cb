// SPDX-License-Identifier: Apache-2.0
//
// Stack growth: a mapping with MAP_GROWSDOWN is extended to an access below it (Linux:
// expand_stack_locked, expand_downwards in mm/vma.c; M7, M13).
#pragma once

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Extends `vma` down to the page of `addr`, which lies below it and above its neighbour. mmap_lock
/// is held for write: in place under the read lock would break lock-free readers (M7). EFAULT if it
/// is no stack, EPERM below mmap_min_addr, ENOMEM if its guard gap, a limit or memory forbids it.
[[nodiscard]] Result<void> ExpandStack(VmaEditor& editor, Vma& vma, VirtAddr addr);

}  // namespace faultline
