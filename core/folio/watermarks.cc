// SPDX-License-Identifier: Apache-2.0
//
// Names of what the allocator counts, in snake_case.
#include "core/folio/watermarks.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <absl/strings/str_format.h>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(AllocEvent::kCount)> kEvents = {
    "alloc_slow_above_low", "alloc_below_low",   "alloc_below_min",
    "alloc_fail_nowait",    "alloc_fail_kernel", "alloc_fail_warned",
    "kswapd_wake",          "allocstall",        "pgsteal_direct"};

/// Whether memory of `frames` frames has some above the high mark.
bool LeavesSome(uint64_t min, uint64_t frames, uint32_t scale) {
  return min < frames && Watermarks::Of(min, frames, scale).high < frames;
}

/// The greatest min that leaves some; 0 if there is none: marks of that distance do not fit.
uint64_t GreatestMin(uint64_t frames, uint32_t scale) {
  uint64_t fits = 0;
  for (uint64_t step = std::bit_floor(frames); step != 0; step /= 2) {
    if (LeavesSome(fits + step, frames, scale)) fits += step;
  }
  return fits;
}

}  // namespace

std::optional<std::string> WhyRefused(const WatermarkOptions& options, uint64_t frames) {
  const uint32_t scale = options.watermark_scale;
  if (scale == 0 || scale > Watermarks::kMaxScale) {
    return absl::StrFormat("watermark_scale: %u is out of range; allowed: 1 to %u", scale,
                           Watermarks::kMaxScale);
  }
  if (LeavesSome(options.min_free_frames, frames, scale)) return std::nullopt;
  return absl::StrFormat(
      "min_free_frames: %u leaves no frame above the high watermark; allowed: 0 to %u with "
      "watermark_scale %u and %u frames",
      options.min_free_frames, GreatestMin(frames, scale), scale, frames);
}

std::string_view Name(AllocEvent event) {
  const auto index = static_cast<size_t>(event);
  MM_CHECK_LT(index, kEvents.size());
  return kEvents[index];
}

}  // namespace faultline
