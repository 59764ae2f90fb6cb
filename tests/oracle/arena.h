// SPDX-License-Identifier: Apache-2.0
//
// Where operations of the arena mode may go. Three areas lie in the low part of the space, where a
// position-independent program maps nothing: the main one straddles a 2 MiB boundary (two page
// tables), the far one a 1 GiB boundary (two page middle directories), and the stack area leaves
// room for a MAP_GROWSDOWN mapping to grow with its guard gap of 256 pages below it.
//
// Being low they come first in /proc/PID/maps, so a reader can stop behind them. Everything below
// kZoneEnd belongs to the oracle; the page tables are looked at in the areas only.
#pragma once

#include <array>
#include <cstdint>

namespace faultline::oracle {

inline constexpr uint64_t kPageSize = 4096;

struct Area {
  uint64_t start;
  uint64_t end;

  [[nodiscard]] constexpr uint64_t pages() const { return (end - start) / kPageSize; }
};

inline constexpr Area kMainArea{0x101d0000, 0x10230000};
inline constexpr Area kFarArea{0x3fff0000, 0x40010000};
inline constexpr Area kStackArea{0x50000000, 0x50210000};
inline constexpr std::array<Area, 3> kAreas = {kMainArea, kFarArea, kStackArea};

inline constexpr uint64_t kZoneEnd = 0x60000000;
/// TASK_SIZE of x86-64 with four levels: the last page below 2^47 is never mapped.
inline constexpr uint64_t kTaskSize = 0x7ffffffff000;

constexpr uint64_t PageDown(uint64_t value) { return value & ~(kPageSize - 1); }
/// May wrap to 0, as PAGE_ALIGN does.
constexpr uint64_t PageUp(uint64_t value) { return PageDown(value + kPageSize - 1); }
constexpr bool PageAligned(uint64_t value) { return PageDown(value) == value; }

}  // namespace faultline::oracle
