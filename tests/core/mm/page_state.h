// SPDX-License-Identifier: Apache-2.0
//
// What a program can tell about its memory, page by page: flags and first word. Two states are
// equal if no program could tell them apart, however VMAs are split and merged and whatever is
// resident.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "tests/core/mm/mm_fixture.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct PageState {
  VmaFlags flags = 0;
  uint64_t word = 0;
  bool guard = false;
  friend bool operator==(const PageState&, const PageState&) = default;
};
/// By page number relative to kBase.
using MemoryState = std::map<int64_t, PageState>;

[[nodiscard]] inline int64_t PageNumber(VirtAddr addr) {
  return (static_cast<int64_t>(addr.value()) - static_cast<int64_t>(kBase.value())) /
         static_cast<int64_t>(kPageSize);
}

/// The state of all of `mm`. Pages that can be read are read, and may become resident by that.
[[nodiscard]] inline MemoryState StateOf(Mm& mm) {
  using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names
  constexpr VmaFlags kVisible = kAccess | kShared | kMayShare | kGrowsDown | kLockedMask | kSealed |
                                kDontCopy | kWipeOnFork | kSeqRead | kRandRead | kDontDump |
                                kHugePage | kNoHugePage | kDroppable;
  MemoryState state;
  mm.ForEachVma([&](const MapsLine& line) {
    for (VirtAddr page = line.range.start(); page < line.range.end(); page += kPageSize) {
      state[PageNumber(page)].flags = line.flags & kVisible;
    }
  });
  for (auto& [number, page] : state) {
    const PageView view = mm.View(At(number));
    page.guard = view.guard;
    if (view.present) page.word = view.word;
    if ((page.flags & kRead) == 0 || page.guard) continue;
    if (!mm.Read(At(number), page.word).ok()) page.word = UINT64_MAX;  // behind the end of a file
  }
  return state;
}

/// Where VMAs begin and end.
[[nodiscard]] inline std::set<int64_t> BoundariesOf(Mm& mm) {
  std::set<int64_t> boundaries;
  mm.ForEachVma([&](const MapsLine& line) {
    boundaries.insert(PageNumber(line.range.start()));
    boundaries.insert(PageNumber(line.range.end()));
  });
  return boundaries;
}

/// The page, or null if it is not mapped.
[[nodiscard]] inline const PageState* PageIn(const MemoryState& state, int64_t number) {
  const auto it = state.find(number);
  return it == state.end() ? nullptr : &it->second;
}

/// Whether a page is the same in both.
[[nodiscard]] inline bool SameAt(const MemoryState& a, const MemoryState& b, int64_t number) {
  const PageState* const in_a = PageIn(a, number);
  const PageState* const in_b = PageIn(b, number);
  return in_a == nullptr || in_b == nullptr ? in_a == in_b : *in_a == *in_b;
}

/// Every page of either.
[[nodiscard]] inline std::set<int64_t> PagesOfBoth(const MemoryState& a, const MemoryState& b) {
  std::set<int64_t> pages;
  for (const auto& entry : a) pages.insert(entry.first);
  for (const auto& entry : b) pages.insert(entry.first);
  return pages;
}

}  // namespace faultline
