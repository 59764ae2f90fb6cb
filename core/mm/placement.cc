// SPDX-License-Identifier: Apache-2.0
//
// The searches of placement.h. A gap found in the tree may reach into a stack's guard gap; then the
// search goes on from there (Linux: unmapped_area and unmapped_area_topdown).
#include "core/mm/placement.h"

#include <algorithm>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Where a search may look: [low, high).
struct Window {
  uint64_t low;
  uint64_t high;
};

constexpr uint64_t kFourGiB = 1ull << 32;
/// The end of what a four-level mm has, even in one with five, unless a hint asks for more.
constexpr uint64_t kDefaultMapWindow = (1ull << 47) - kPageSize;

class Placer {
 public:
  Placer(const VmaEditor& editor, const PlacementRequest& request)
      : editor_(editor), options_(editor.writer().options()), request_(request) {}

  /// arch_get_unmapped_area_topdown
  [[nodiscard]] Result<VirtAddr> TopDown(uint64_t length) const {
    if (length > task_size()) return Errno::kEnomem;
    if ((request_.map_flags & abi::kMapFixed) != 0) return request_.hint;
    if ((request_.map_flags & abi::kMap32Bit) != 0) return BottomUp(length);
    if (request_.hint.value() != 0) {
      const uint64_t hint = PageAlignDown(request_.hint.value());
      if (HintIsValid(hint, length) && IsFree(hint, length)) return VirtAddr(hint);
    }
    const bool above_4g = (request_.map_flags & abi::kMapAbove4G) != 0;
    Window window{above_4g ? kFourGiB : kPageSize, options_.mmap_base.value()};
    if (request_.hint.value() > kDefaultMapWindow) window.high += task_size() - kDefaultMapWindow;
    const Result<VirtAddr> found = HighestGap(window, length);
    return found.ok() ? found : BottomUp(length);
  }

 private:
  /// arch_get_unmapped_area
  [[nodiscard]] Result<VirtAddr> BottomUp(uint64_t length) const {
    const Window window = BottomUpWindow();
    if (length > window.high) return Errno::kEnomem;
    if (request_.hint.value() != 0) {
      const uint64_t hint = PageAlignUp(request_.hint.value()).value_or(0);
      if (window.high - length >= hint && IsFree(hint, length)) return VirtAddr(hint);
    }
    return LowestGap(window, length);
  }

  [[nodiscard]] Window BottomUpWindow() const {
    if ((request_.map_flags & abi::kMap32Bit) != 0) return {0x4000'0000, 0x8000'0000};
    // The legacy base lies a third up and is moved by the same random amount as mmap_base.
    return {PageAlignDown(task_size() / 3 + kPageSize - 1) + options_.legacy_base_offset,
            request_.hint.value() > kDefaultMapWindow ? task_size() : kDefaultMapWindow};
  }

  /// mmap_address_hint_valid
  [[nodiscard]] bool HintIsValid(uint64_t hint, uint64_t length) const {
    if (hint > task_size() - length) return false;
    return (hint > kDefaultMapWindow) == (hint + length > kDefaultMapWindow);
  }

  [[nodiscard]] bool IsFree(uint64_t addr, uint64_t length) const {
    const Vma* vma = editor_.FindFrom(VirtAddr(addr));
    return vma == nullptr || addr + length <= StartWithGap(*vma, options_).value();
  }

  [[nodiscard]] Result<VirtAddr> HighestGap(Window window, uint64_t length) const {
    const MapleTree& tree = editor_.writer().tree();
    window.low = std::max(window.low, options_.mmap_min_addr);
    while (window.low < window.high) {
      const auto first = tree.FindGapDown(window.low, window.high - 1, length);
      if (!first) break;
      const Vma* above = editor_.FindFrom(VirtAddr(*first));
      if (above == nullptr || StartWithGap(*above, options_).value() >= *first + length) {
        return VirtAddr(*first);
      }
      window.high = StartWithGap(*above, options_).value();
    }
    return Errno::kEnomem;
  }

  [[nodiscard]] Result<VirtAddr> LowestGap(Window window, uint64_t length) const {
    const MapleTree& tree = editor_.writer().tree();
    window.low = std::max(window.low, options_.mmap_min_addr);
    while (window.low < window.high) {
      const auto first = tree.FindGapUp(window.low, window.high - 1, length);
      if (!first) break;
      const Vma* above = editor_.FindFrom(VirtAddr(*first));
      if (above == nullptr || StartWithGap(*above, options_).value() >= *first + length) {
        return VirtAddr(*first);
      }
      window.low = above->end().value();
    }
    return Errno::kEnomem;
  }

  [[nodiscard]] uint64_t task_size() const { return editor_.writer().task_size().value(); }

  const VmaEditor& editor_;
  const MmOptions& options_;
  const PlacementRequest& request_;
};

/// __thp_get_unmapped_area: searches with 2 MiB to spare, then aligns within what was found. None
/// if that does not fit.
Result<VirtAddr> AlignedTopDown(const Placer& placer, uint64_t length) {
  const uint64_t padded = length + kPmdSize;
  if (padded < length) return Errno::kEnomem;
  const Result<VirtAddr> found = placer.TopDown(padded);
  if (!found.ok()) return found;
  const uint64_t short_of = (0 - found->value()) & (kPmdSize - 1);
  return *found + (short_of == 0 ? kPmdSize : short_of);
}

}  // namespace

VirtAddr StartWithGap(const Vma& vma, const MmOptions& options) {
  const uint64_t start = vma.start().value();
  if (!vma.Has(vma_flag::kGrowsDown)) return VirtAddr(start);
  return VirtAddr(start > options.stack_guard_gap ? start - options.stack_guard_gap : 0);
}

Result<VirtAddr> FindPlace(const VmaEditor& editor, const PlacementRequest& request) {
  const MmOptions& options = editor.writer().options();
  const uint64_t task_size = editor.writer().task_size().value();
  if (request.length > task_size) return Errno::kEnomem;
  const Placer placer(editor, request);
  Result<VirtAddr> place = Errno::kEnomem;
  const bool aligned = options.thp_alignment && !request.is_file && request.hint.value() == 0 &&
                       (request.map_flags & abi::kMapShared) == 0 && request.length % kPmdSize == 0;
  if (aligned) place = AlignedTopDown(placer, request.length);
  if (!place.ok()) place = placer.TopDown(request.length);
  if (!place.ok()) return place;
  if (place->value() > task_size - request.length) return Errno::kEnomem;
  if (!IsPageAligned(*place)) return Errno::kEinval;
  if (place->value() < options.dac_mmap_min_addr && !options.can_raw_io) return Errno::kEperm;
  return place;
}

}  // namespace faultline
