// SPDX-License-Identifier: Apache-2.0
//
// What the running kernel can do. The oracle must run on kernels that lack the younger calls:
// what is missing is left out by name, and said so at the start of a run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::oracle {

struct Features {
  bool guard_regions = false;     // MADV_GUARD_INSTALL, 6.13
  bool guard_in_pagemap = false;  // bit 58 of pagemap, 6.15
  bool mseal = false;             // 6.10
  bool droppable = false;         // MAP_DROPPABLE, 6.11
  bool dontunmap = false;         // MREMAP_DONTUNMAP, 5.7; of any mapping since 5.13
  bool populate_advice = false;   // MADV_POPULATE_READ, 5.14
  bool dontneed_locked = false;   // 5.18
  bool ksm = false;               // CONFIG_KSM, and not merging
  bool huge_pages = false;        // CONFIG_TRANSPARENT_HUGEPAGE
  bool swap = false;              // something to swap to, so that pages may leave at any time
  bool lock_all = false;          // mlockall works and does not lock the machine's whole memory

  /// The names of those that are missing (or, of swap, present) and so restrict a run.
  [[nodiscard]] std::vector<std::string> LeftOut() const;
};

/// Tries each in a process of its own.
Features ProbeFeatures();

/// What the kernel's answers depend on besides the arguments: the simulation must be set up alike.
/// These hold for a served process, which has given its privileges away.
struct HostLimits {
  uint64_t mmap_min_addr = 65536;      // where placement begins: sysctl or configuration
  uint64_t dac_mmap_min_addr = 65536;  // the sysctl: what needs a privilege below
  uint64_t max_map_count = 65530;
  uint64_t memory_pages = 0;  // with swap: what one mapping may commit, by the heuristic
  bool overcommit_heuristic = true;
  bool can_lock = false;           // CAP_IPC_LOCK; nothing else is kept, CAP_SYS_RAWIO neither
  bool execute_only_keys = false;  // protection keys make PROT_EXEC alone unreadable
};

HostLimits ReadHostLimits();

}  // namespace faultline::oracle
