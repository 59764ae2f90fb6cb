// SPDX-License-Identifier: Apache-2.0
//
// The MMU of a simulated CPU: loads and stores of a task go through its CPU's TLB, then through a
// hardware walk that sets accessed and dirty bits by compare-and-swap without the page-table lock
// (DESIGN: the MMU is an actor too). The walk is an RCU section of its own. What it may not do it
// reports as a fault, as a CPU would; the fault path then mends the tables and the access is
// repeated.
//
// Guarantee: an access uses a translation only between its own start and end, and a flush that
// returns has waited for that (core/pgtable/tlb.h).
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/fault/fault.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Reads the aligned 64-bit word at `addr`. False: page fault, nothing happened.
[[nodiscard]] bool MmuLoad(FaultTarget& target, VirtAddr addr, uint64_t& word);
/// Writes it.
[[nodiscard]] bool MmuStore(FaultTarget& target, VirtAddr addr, uint64_t word);
/// Touches the page as an access of that kind does, without data.
[[nodiscard]] bool MmuTouch(FaultTarget& target, VirtAddr addr, AccessKind access);

/// What /proc/PID/pagemap and process_vm_readv see of a page: whether it is resident, without
/// touching anything.
struct PageView {
  bool present = false;
  bool file_or_shared = false;  ///< pagemap bit 61
  bool guard = false;           ///< pagemap bit 58
  uint64_t word = 0;            ///< the first word, if present
};
[[nodiscard]] PageView ViewPage(FaultTarget& target, VirtAddr page);

}  // namespace faultline
