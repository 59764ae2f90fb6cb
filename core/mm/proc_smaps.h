// SPDX-License-Identifier: Apache-2.0
//
// What is resident of each VMA, and of all of them (Linux: smap_gather_stats, smaps_account and
// show_smaps_rollup in fs/proc/task_mmu.c). Pages are counted under the lock of their PTE table.
//
// kWholeLock holds mmap_lock over it all, as Linux does. In the other modes a VMA is held, or its
// copy validated, for one PTE table at a time and then looked for again: nobody who wants to change
// the mm waits for longer than one table takes. What has changed by then is counted as follows: of
// a VMA that is being shown, memory behind its first look counts as long as it maps the same thing
// at the same place, and otherwise not at all; the rollup counts what it finds, address by address.
// Guarantee: a page that is resident all the time, at a place of which the mapping stays, counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/mm/proc_maps.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Bytes, each divided by how many have it, in 4096ths (Linux: PSS_SHIFT): so sums lose little.
class SharedBytes {
 public:
  /// Adds bytes that `sharers` have, one at least.
  void Add(uint64_t bytes, uint64_t sharers) { scaled_ += (bytes << kShift) / sharers; }
  [[nodiscard]] uint64_t bytes() const { return scaled_ >> kShift; }
  friend bool operator==(const SharedBytes&, const SharedBytes&) = default;

 private:
  static constexpr unsigned kShift = 12;
  uint64_t scaled_ = 0;
};

/// What is resident, in bytes, under the names that the kernel prints (Linux: struct
/// mem_size_stats). The zero page is not. There is no swap yet and no huge page, so no field.
struct Residency {
  uint64_t rss = 0;
  SharedBytes pss;
  SharedBytes pss_dirty;
  SharedBytes pss_anon;
  SharedBytes pss_file;
  SharedBytes pss_shmem;
  uint64_t shared_clean = 0;
  uint64_t shared_dirty = 0;
  uint64_t private_clean = 0;
  uint64_t private_dirty = 0;
  uint64_t referenced = 0;
  uint64_t anonymous = 0;
  uint64_t lazy_free = 0;
  SharedBytes locked;
  friend bool operator==(const Residency&, const Residency&) = default;
};

/// A VMA and what is resident of it.
struct SmapsRecord {
  VmaRecord vma;
  Residency residency;
  friend bool operator==(const SmapsRecord&, const SmapsRecord&) = default;
};

/// A page of a reading, as MapsPage.
struct SmapsPage {
  std::vector<SmapsRecord> vmas;
  std::optional<VirtAddr> next;
  uint64_t held_ns = 0;  ///< page-table locks are not in it
};

/// As ReadMaps.
[[nodiscard]] Result<SmapsPage> ReadSmaps(Mm& mm, ReadMode mode, VirtAddr from, size_t most);

/// The sums over all VMAs.
struct SmapsRollup {
  VirtRange range;  ///< from the first VMA to the last
  Residency residency;
  uint64_t held_ns = 0;  ///< page-table locks are not in it
};

/// ESRCH: there are no VMAs, or the mm is exiting; EINTR. With kWholeLock it lets go between two
/// VMAs when somebody waits. By a user of the mm, with no lock held; may sleep.
[[nodiscard]] Result<SmapsRollup> ReadSmapsRollup(Mm& mm, ReadMode mode);

}  // namespace faultline
