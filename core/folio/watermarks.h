// SPDX-License-Identifier: Apache-2.0
//
// The watermarks of memory, and what is counted around them (Linux: zone->_watermark and
// __setup_per_zone_wmarks; vm_event_item).
//
//   above high     enough: kswapd goes to sleep
//   low to high    enough for everybody, no reason to wake kswapd
//   min to low     for everybody; kswapd is woken
//   below min      for those who say that it is urgent (Gfp::kHigh), or that they will free memory
//                  (Gfp::kMemalloc, a kMemalloc scope)
//
// A mark is a limit for whoever comes next, not a promise: tasks that look at the same time may all
// see the last frame above it, and all take one. Frames on per-CPU lists count as taken.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/build.h"
#include "core/folio/gfp.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct Watermarks {
  static constexpr uint32_t kDefaultScale = 10;
  static constexpr uint32_t kMaxScale = 3000;

  /// For `frames` frames in all; `scale` is the least distance of the marks from each other, in
  /// ten-thousandths of memory. With `min` 0 there are no marks.
  [[nodiscard]] static constexpr Watermarks Of(uint64_t min, uint64_t frames, uint32_t scale) {
    if (min == 0) return {};
    const uint64_t step = std::max(min / 4, frames * scale / 10000);
    return {.min = min, .low = min + step, .high = min + 2 * step};
  }

  [[nodiscard]] constexpr bool on() const { return min != 0; }

  /// What has to stay free behind an allocation with `gfp`, as EffectiveGfp has it, that may not
  /// ignore marks.
  [[nodiscard]] constexpr uint64_t MinFor(Gfp gfp) const {
    if (!gfp.Has(Gfp::kHigh)) return min;
    const uint64_t half = min - min / 2;
    // Those who could sleep have another way out, and those who want no reserve get no more of it.
    const bool may_sleep = gfp.Has(Gfp::kDirectReclaim);
    return may_sleep || gfp.Has(Gfp::kNomemalloc) ? half : half - half / 4;
  }

  uint64_t min = 0;
  uint64_t low = 0;
  uint64_t high = 0;
};

/// What watermarks follow from.
struct WatermarkOptions {
  /// The min watermark (Linux: vm.min_free_kbytes); 0: no watermarks. The high one that follows is
  /// below what there is.
  uint64_t min_free_frames = 0;
  /// Ten-thousandths of memory between two watermarks, if that is more than a quarter of min
  /// (Linux: vm.watermark_scale_factor); 1 to 3000.
  uint32_t watermark_scale = Watermarks::kDefaultScale;
};

/// Why `frames` frames cannot have such watermarks, naming the field, its value and what is
/// allowed; nothing if they can.
[[nodiscard]] std::optional<std::string> WhyRefused(const WatermarkOptions& options,
                                                    uint64_t frames);

/// What the slow path of an allocation counts; nothing else does.
enum class AllocEvent : uint8_t {
  kAboveLow,         ///< it succeeded with more than low free: somebody freed meanwhile
  kBelowLow,         ///< it succeeded with low or fewer free
  kBelowMin,         ///< it succeeded with min or fewer free
  kFailedNowait,     ///< it failed and could not have slept
  kFailedKernel,     ///< it failed though it could sleep: out of memory
  kWarned,           ///< of those that failed: not with kNowarn, so Linux would have logged them
  kKswapdWake,       ///< kswapd was woken
  kAllocstall,       ///< it reclaimed by itself (Linux: allocstall)
  kDirectReclaimed,  ///< frames that it got so (Linux: pgsteal_direct)
  kCount
};

/// In snake_case, as in /proc/vmstat.
[[nodiscard]] std::string_view Name(AllocEvent event);

}  // namespace faultline
