// SPDX-License-Identifier: Apache-2.0
//
// Counters of a machine by the names that /proc/vmstat has (M-5; Linux: mm/vmstat.c, vmstat_text).
//
// Only what the simulation really has, and what can be had without counting anything more where
// faults and allocations go: all of it is put together from what is counted for other ends. What
// the kernel has beyond that (LRU lists, writeback, NUMA ...) is left out, not shown as zero.
// Counters never go down, reset of statistics or not; those that begin with nr_ are what there is.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/machine/machine.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct VmStatValue {
  std::string_view name;
  uint64_t value = 0;
};

/// In the kernel's order. Takes spinlocks of allocator, mms and TLBs one after the other, so the
/// values are of slightly different moments; exact whenever nothing is going on.
[[nodiscard]] std::vector<VmStatValue> VmStat(Machine& machine);

}  // namespace faultline
