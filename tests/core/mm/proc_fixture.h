// SPDX-License-Identifier: Apache-2.0
//
// What tests of the readers of maps and their kin share: the modes by name, whole readings put
// together from pages, and short forms of what was read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/mm/proc_maps.h"
#include "core/mm/proc_smaps.h"
#include "tests/core/mm/mm_fixture.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

inline constexpr ReadMode kAllReadModes[] = {ReadMode::kWholeLock, ReadMode::kPerVma,
                                             ReadMode::kRcu};

[[nodiscard]] inline std::string_view NameOf(ReadMode mode) {
  switch (mode) {
    case ReadMode::kWholeLock:
      return "whole_lock";
    case ReadMode::kPerVma:
      return "per_vma";
    default:
      return "rcu";
  }
}

/// Whether faults of the scheme have a lock on a VMA.
[[nodiscard]] inline bool HasVmaLock(SchemeName scheme) {
  return scheme != SchemeName::kMmapLock && scheme != SchemeName::kSpfMmSeq &&
         scheme != SchemeName::kSpfVmaSeq;
}

/// Schemes of each kind, as far as readers are concerned: no lock on VMAs, an rwsem, a count, a
/// sequence of their own.
inline constexpr SchemeName kReaderKinds[] = {SchemeName::kMmapLock, SchemeName::kVmaLock,
                                              SchemeName::kVmaRefcnt, SchemeName::kSpfVmaSeq};

/// A whole reading, in pages of at most `most`.
[[nodiscard]] inline std::vector<VmaRecord> AllMaps(Mm& mm, ReadMode mode, size_t most = 100) {
  std::vector<VmaRecord> all;
  std::optional<VirtAddr> from = VirtAddr(0);
  while (from.has_value()) {
    const Result<MapsPage> page = ReadMaps(mm, mode, *from, most);
    MM_CHECK(page.ok());
    MM_CHECK_LE(page->vmas.size(), most);
    all.insert(all.end(), page->vmas.begin(), page->vmas.end());
    from = page->next;
  }
  return all;
}
[[nodiscard]] inline std::vector<SmapsRecord> AllSmaps(Mm& mm, ReadMode mode, size_t most = 100) {
  std::vector<SmapsRecord> all;
  std::optional<VirtAddr> from = VirtAddr(0);
  while (from.has_value()) {
    const Result<SmapsPage> page = ReadSmaps(mm, mode, *from, most);
    MM_CHECK(page.ok());
    MM_CHECK_LE(page->vmas.size(), most);
    all.insert(all.end(), page->vmas.begin(), page->vmas.end());
    from = page->next;
  }
  return all;
}

/// The same in every mode; they are expected to be equal.
[[nodiscard]] inline std::vector<VmaRecord> MapsInEveryMode(Mm& mm, size_t most = 100) {
  const std::vector<VmaRecord> all = AllMaps(mm, ReadMode::kWholeLock, most);
  for (const ReadMode mode : kAllReadModes) EXPECT_EQ(AllMaps(mm, mode, most), all) << NameOf(mode);
  return all;
}
[[nodiscard]] inline std::vector<SmapsRecord> SmapsInEveryMode(Mm& mm, size_t most = 100) {
  const std::vector<SmapsRecord> all = AllSmaps(mm, ReadMode::kWholeLock, most);
  for (const ReadMode mode : kAllReadModes) {
    EXPECT_EQ(AllSmaps(mm, mode, most), all) << NameOf(mode);
  }
  return all;
}

/// "0-4 4-6": ranges in pages relative to kBase.
[[nodiscard]] inline std::string RangesOf(const std::vector<VmaRecord>& vmas) {
  std::string text;
  const auto page_of = [](VirtAddr addr) {
    return std::to_string(
        (static_cast<int64_t>(addr.value()) - static_cast<int64_t>(kBase.value())) /
        static_cast<int64_t>(kPageSize));
  };
  for (const VmaRecord& vma : vmas) {
    if (!text.empty()) text += " ";
    text += page_of(vma.range.start()) + "-" + page_of(vma.range.end());
  }
  return text;
}

}  // namespace faultline
