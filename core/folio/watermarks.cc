// SPDX-License-Identifier: Apache-2.0
//
// Names of what the allocator counts, in snake_case.
#include "core/folio/watermarks.h"

#include <array>
#include <cstddef>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(AllocEvent::kCount)> kEvents = {
    "alloc_slow_above_low", "alloc_below_low",   "alloc_below_min",
    "alloc_fail_nowait",    "alloc_fail_kernel", "alloc_fail_warned",
    "kswapd_wake",          "allocstall",        "pgsteal_direct"};

}  // namespace

std::string_view Name(AllocEvent event) {
  const auto index = static_cast<size_t>(event);
  MM_CHECK_LT(index, kEvents.size());
  return kEvents[index];
}

}  // namespace faultline
