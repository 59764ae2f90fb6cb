// SPDX-License-Identifier: Apache-2.0
//
// Reading the VMAs of an mm as records that own what they say (Linux: show_map_vma and
// get_vma_name in fs/proc/task_mmu.c). A reading goes page by page, a page being what one read(2)
// of /proc/PID/maps is; the next begins at an address, so a reading always goes forward.
//
// Tearing: within a page as the mode says (vma_scan.h), between pages anything may happen. Memory
// that is mapped all the time is in the reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/mm/mm.h"
#include "core/mm/vma_scan.h"
#include "core/vma/vma_flags.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The number of a device as maps show it.
struct DeviceNumber {
  uint32_t major = 0;
  uint32_t minor = 0;
  friend bool operator==(const DeviceNumber&, const DeviceNumber&) = default;
};
/// The device that all files of a machine lie on: a number as a first disk's first partition has.
inline constexpr DeviceNumber kFileDevice{8, 1};
/// That of shared anonymous memory, which is Linux's.
inline constexpr DeviceNumber kShmemDevice{0, 1};

/// A VMA as maps show it.
struct VmaRecord {
  VirtRange range;
  VmaFlags flags = 0;
  uint64_t offset = 0;  ///< bytes; of files only, else 0
  DeviceNumber device;
  uint64_t inode = 0;
  std::string path;                  ///< as it is, nothing escaped; or [heap], [stack]; or empty
  const Mapping* mapping = nullptr;  ///< its identity, not to be followed; null: anonymous
  friend bool operator==(const VmaRecord&, const VmaRecord&) = default;
};

/// What maps show of a VMA that was just copied, inside the use of a VmaScan.
[[nodiscard]] VmaRecord RecordOf(const Mm& mm, const VmaView& vma);

/// A page of a reading.
struct MapsPage {
  std::vector<VmaRecord> vmas;
  std::optional<VirtAddr> next;  ///< where the next page begins; none after the last VMA
  /// How long mmap_lock and locks of VMAs were held, by SyncClockNs; 0: none was.
  uint64_t held_ns = 0;
};

/// At most `most` VMAs, which is not 0, from the first on that ends behind `from`. EINTR. By a user
/// of the mm, with no lock held; may sleep.
[[nodiscard]] Result<MapsPage> ReadMaps(Mm& mm, ReadMode mode, VirtAddr from, size_t most);

}  // namespace faultline
