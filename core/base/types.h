// SPDX-License-Identifier: Apache-2.0
//
// The units of memory management: addresses, page numbers, ids, and ranges of addresses.
//
// | type      | counts                                        | Linux                         |
// | VirtAddr  | bytes of one mm, [0, 2^64)                    | unsigned long address         |
// | VirtPage  | pages of one mm: VirtAddr >> 12, [0, 2^52)    | address >> PAGE_SHIFT         |
// | PageIndex | pages from the start of a file or of an area  | pgoff_t                       |
// | Pfn       | page frames of one machine's memory, from 0   | unsigned long pfn             |
// | TaskId    | simulated threads of one machine; 0 = unknown | pid_t of a thread             |
// | CpuId     | simulated CPUs of one machine, from 0         | int cpu                       |
//
// Invariant: every VirtRange has start <= end; it can end at no more than 2^64 - 1.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/strong_int.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A byte address within one mm.
using VirtAddr = StrongInt<struct VirtAddrTag, std::uint64_t>;
/// The number of a page within one mm: its address divided by kPageSize.
using VirtPage = StrongInt<struct VirtPageTag, std::uint64_t>;
/// A page's offset, in pages, within a file or within the linear index of an area (pgoff).
using PageIndex = StrongInt<struct PageIndexTag, std::uint64_t>;
/// The number of a page frame of one machine.
using Pfn = StrongInt<struct PfnTag, std::uint64_t>;
/// A simulated thread. 0 is no thread: "unknown" or "nobody".
using TaskId = StrongInt<struct TaskIdTag, std::uint32_t>;
/// A simulated CPU, from 0.
using CpuId = StrongInt<struct CpuIdTag, std::uint32_t>;

/// Bits of an address below the page number.
inline constexpr unsigned kPageShift = 12;
/// Bytes in a page.
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageShift;
/// Bits of an address below the part that selects an entry of a pmd table.
inline constexpr unsigned kPmdShift = 21;
/// Bytes that one entry of a pmd table covers: a PTE table, or one huge page. 2 MiB.
inline constexpr std::uint64_t kPmdSize = std::uint64_t{1} << kPmdShift;
/// Pages that one entry of a pmd table covers.
inline constexpr std::uint64_t kPagesPerPmd = kPmdSize / kPageSize;

/// True when `bytes` is a whole number of pages.
[[nodiscard]] constexpr bool IsPageAligned(std::uint64_t bytes) noexcept {
  return (bytes & (kPageSize - 1)) == 0;
}
/// True when `addr` is the first byte of a page.
[[nodiscard]] constexpr bool IsPageAligned(VirtAddr addr) noexcept {
  return IsPageAligned(addr.value());
}

/// The whole pages in `bytes`, in bytes.
[[nodiscard]] constexpr std::uint64_t PageAlignDown(std::uint64_t bytes) noexcept {
  return bytes & ~(kPageSize - 1);
}
/// The first byte of the page that `addr` lies in.
[[nodiscard]] constexpr VirtAddr PageAlignDown(VirtAddr addr) noexcept {
  return VirtAddr(PageAlignDown(addr.value()));
}

/// `bytes` rounded up to whole pages, in bytes; none when that exceeds 64 bits (where Linux's
/// PAGE_ALIGN wraps to 0 and its callers have to notice).
[[nodiscard]] constexpr std::optional<std::uint64_t> PageAlignUp(std::uint64_t bytes) noexcept {
  if (bytes > PageAlignDown(~std::uint64_t{0})) return std::nullopt;
  return PageAlignDown(bytes + (kPageSize - 1));
}
/// The first start of a page at or above `addr`; none when there is no such address.
[[nodiscard]] constexpr std::optional<VirtAddr> PageAlignUp(VirtAddr addr) noexcept {
  const std::optional<std::uint64_t> aligned = PageAlignUp(addr.value());
  if (!aligned) return std::nullopt;
  return VirtAddr(*aligned);
}

/// The page that `addr` lies in.
[[nodiscard]] constexpr VirtPage PageOf(VirtAddr addr) noexcept {
  return VirtPage(addr.value() >> kPageShift);
}
/// The first byte of `page`, which is below 2^52.
[[nodiscard]] constexpr VirtAddr AddrOf(VirtPage page) {
  MM_DCHECK_LT(page.value(), std::uint64_t{1} << (64 - kPageShift));
  return VirtAddr(page.value() << kPageShift);
}

/// A half-open range of addresses [start, end) within one mm. Need not be page-aligned. Since `end`
/// is an address, the last byte of the 64-bit space belongs to no range.
class VirtRange {
 public:
  /// The empty range at 0.
  constexpr VirtRange() noexcept = default;
  /// [start, end). Checked: start <= end.
  constexpr VirtRange(VirtAddr start, VirtAddr end) : start_(start), end_(end) {
    MM_CHECK_LE(start, end);
  }

  /// [start, start + length); none when the end is not an address. Not a Result, since it depends
  /// on the system call which errno it owes for that.
  [[nodiscard]] static constexpr std::optional<VirtRange> FromLength(VirtAddr start,
                                                                     std::uint64_t length) {
    if (length > VirtAddr::Max() - start) return std::nullopt;
    return VirtRange(start, start + length);
  }

  /// The first address inside, if not empty.
  [[nodiscard]] constexpr VirtAddr start() const noexcept { return start_; }
  /// The first address behind.
  [[nodiscard]] constexpr VirtAddr end() const noexcept { return end_; }
  /// Length in bytes.
  [[nodiscard]] constexpr std::uint64_t bytes() const noexcept { return end_ - start_; }
  /// Length in pages. Both ends are page-aligned.
  [[nodiscard]] constexpr std::uint64_t pages() const {
    MM_DCHECK(IsPageAligned(start_) && IsPageAligned(end_));
    return bytes() >> kPageShift;
  }
  /// True when no address is inside.
  [[nodiscard]] constexpr bool empty() const noexcept { return start_ == end_; }

  /// True when `addr` is inside.
  [[nodiscard]] constexpr bool Contains(VirtAddr addr) const noexcept {
    return start_ <= addr && addr < end_;
  }
  /// True when `other` lies within [start, end], both bounds allowed: an empty range is contained
  /// where it touches.
  [[nodiscard]] constexpr bool Contains(VirtRange other) const noexcept {
    return start_ <= other.start_ && other.end_ <= end_;
  }
  /// True when some address is inside both; never so when one is empty.
  [[nodiscard]] constexpr bool Overlaps(VirtRange other) const noexcept {
    return std::max(start_, other.start_) < std::min(end_, other.end_);
  }
  /// The addresses inside both. Where the result lies when it is empty is not promised.
  [[nodiscard]] constexpr VirtRange Intersect(VirtRange other) const {
    const VirtAddr start = std::max(start_, other.start_);
    return {start, std::max(start, std::min(end_, other.end_))};
  }

  /// Same start and same end: two empty ranges at different places differ.
  [[nodiscard]] friend constexpr bool operator==(VirtRange, VirtRange) noexcept = default;

 private:
  VirtAddr start_;
  VirtAddr end_;
};

}  // namespace faultline
