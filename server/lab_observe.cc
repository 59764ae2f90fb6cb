// SPDX-License-Identifier: Apache-2.0
//
// Observers; see lab_observe.h. A reading goes page by page, as read(2) of a file of /proc does,
// and its locks are dropped in between.
#include "server/lab_observe.h"

#include <cstddef>
#include <optional>

#include "core/mm/proc_maps.h"
#include "core/mm/proc_smaps.h"
#include "server/api_enums.h"

namespace faultline::server {
namespace {

/// About as many lines of maps as fit into the 4 KiB that a reader of /proc gets at once.
constexpr size_t kVmasAtOnce = 50;

/// Reads pages with `read`, which takes where one begins, until there is none.
template <class Read>
Result<void> ReadPages(const Read& read) {
  std::optional<VirtAddr> from(VirtAddr(0));
  while (from) {
    const auto page = read(*from);
    if (!page.ok()) return page.error();
    from = page->next;
  }
  return {};
}

}  // namespace

Result<void> ReadToTheEnd(Mm& mm, v1::ObservedFile file, v1::ReadMode mode) {
  const auto how = FromApi<ReadMode>(mode).value_or(ReadMode::kWholeLock);
  switch (file) {
    case v1::OBSERVED_FILE_SMAPS:
      return ReadPages([&](VirtAddr from) { return ReadSmaps(mm, how, from, kVmasAtOnce); });
    case v1::OBSERVED_FILE_SMAPS_ROLLUP: {
      const auto rollup = ReadSmapsRollup(mm, how);
      if (!rollup.ok()) return rollup.error();
      return {};
    }
    default:  // maps
      return ReadPages([&](VirtAddr from) { return ReadMaps(mm, how, from, kVmasAtOnce); });
  }
}

}  // namespace faultline::server
