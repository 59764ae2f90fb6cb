// SPDX-License-Identifier: Apache-2.0
//
// When VMAs become one: pure functions over (previous, proposed, next), without an mm, a tree or a
// lock, so that every case of adjacency can be tested by itself (Linux: is_mergeable_vma,
// is_mergeable_anon_vma, can_vma_merge_left and _right in mm/vma.c). What is decided here is
// carried out by core/mm/vma_edit.cc.
//
// Two VMAs merge if they touch, have equal flags (sticky ones aside) and the same Mapping by the
// same open file, continue each other's pgoff, and their anon_vmas do not object: equal, or one of
// them missing on a side that was not forked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/sync/hinted.h"
#include "core/vma/vma_flags.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class AnonVma;
class Mapping;

/// What of a VMA, existing or proposed, decides about merging.
struct VmaShape {
  VirtRange range;
  VmaFlags flags = 0;
  const Mapping* mapping = nullptr;
  uint64_t open_file = 0;  ///< OpenFileId
  PageIndex pgoff{0};
  const AnonVma* anon_vma = nullptr;
  bool is_fork_child = false;  ///< its chain leads to more than one anon_vma
};

/// Why a neighbour does not merge; kNone if it does. In the order in which they are looked for.
enum class MergeRefusal : uint8_t {
  kNone,
  kNoNeighbour,  ///< nothing there, or it does not touch
  kSpecial,      ///< the proposed flags never merge
  kFlags,
  kMapping,
  kPgoff,
  kAnonVma,         ///< two different anon_vmas
  kForkChild,       ///< the side with an anon_vma was forked
  kOtherNeighbour,  ///< each neighbour would do, but their anon_vmas differ: only one gets merged
  kCount
};
[[nodiscard]] std::string_view Name(MergeRefusal refusal);

struct MergeDecision {
  MergeRefusal with_previous = MergeRefusal::kNoNeighbour;
  MergeRefusal with_next = MergeRefusal::kNoNeighbour;
  [[nodiscard]] bool previous() const { return with_previous == MergeRefusal::kNone; }
  [[nodiscard]] bool next() const { return with_next == MergeRefusal::kNone; }
  [[nodiscard]] bool any() const { return previous() || next(); }
};

/// Decides for `proposed`: a new mapping, a moved one, or what a part of a VMA is to become. A
/// neighbour is given only if the caller could merge with it; whether it touches is checked here.
/// `proposed.is_fork_child` is that of the VMA that it comes from, if any.
[[nodiscard]] MergeDecision DecideMerge(const std::optional<VmaShape>& previous,
                                        const VmaShape& proposed,
                                        const std::optional<VmaShape>& next);

/// Counts of merges and refusals by reason, and of splits. Written under mmap_lock held for
/// write, read by anybody as hints.
struct MergeCounts {
  std::array<Hinted<uint64_t>, static_cast<size_t>(MergeRefusal::kCount)>
      previous{};  ///< [kNone]: merged
  std::array<Hinted<uint64_t>, static_cast<size_t>(MergeRefusal::kCount)> next{};
  Hinted<uint64_t> splits;
  void Note(const MergeDecision& decision) {
    ++previous[static_cast<size_t>(decision.with_previous)];
    ++next[static_cast<size_t>(decision.with_next)];
  }
};

}  // namespace faultline
