// SPDX-License-Identifier: Apache-2.0
//
// Names of activities, in snake_case.
#include "core/observe/activity.h"

#include <array>
#include <cstddef>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Activity::kCount)> kActivities = {
    "none",  "fault", "mmap", "munmap",       "mprotect",  "mremap",   "madvise", "brk",
    "mlock", "fork",  "exit", "stack_growth", "read_maps", "populate", "reclaim", "other"};

}  // namespace

std::string_view Name(Activity activity) {
  const auto index = static_cast<size_t>(activity);
  MM_CHECK_LT(index, kActivities.size());
  return kActivities[index];
}

}  // namespace faultline
