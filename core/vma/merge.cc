// SPDX-License-Identifier: Apache-2.0
//
// The merge rules of merge.h.
//
// The rule about anon_vmas (Linux: is_mergeable_anon_vma): if one side has an anon_vma and the
// other none, the one without takes over the other's chain. That is refused if the chain came by
// fork, since it would make the trees of pages' owners deeper for a doubtful gain.
#include "core/vma/merge.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using enum MergeRefusal;

/// `target` is the neighbour that would be extended, `source` what it would take in.
MergeRefusal AnonVmasObject(const VmaShape& target, const VmaShape& source) {
  if (target.anon_vma == source.anon_vma) return kNone;
  if (target.anon_vma != nullptr && source.anon_vma != nullptr) return kAnonVma;
  const bool forked = target.anon_vma != nullptr ? target.is_fork_child : source.is_fork_child;
  return forked ? kForkChild : kNone;
}

/// What both sides have to agree on; `lower` ends where `upper` begins.
MergeRefusal SidesObject(const VmaShape& lower, const VmaShape& upper) {
  if (((lower.flags ^ upper.flags) & ~vma_flag::kSticky) != 0) return kFlags;
  if (lower.mapping != upper.mapping || lower.open_file != upper.open_file) return kMapping;
  if (upper.pgoff != lower.pgoff + lower.range.pages()) return kPgoff;
  return kNone;
}

MergeRefusal WithPrevious(const std::optional<VmaShape>& previous, const VmaShape& proposed) {
  if (!previous || previous->range.end() != proposed.range.start()) return kNoNeighbour;
  if ((proposed.flags & vma_flag::kSpecial) != 0) return kSpecial;
  const MergeRefusal refusal = SidesObject(*previous, proposed);
  return refusal != kNone ? refusal : AnonVmasObject(*previous, proposed);
}

MergeRefusal WithNext(const VmaShape& proposed, const std::optional<VmaShape>& next) {
  if (!next || next->range.start() != proposed.range.end()) return kNoNeighbour;
  if ((proposed.flags & vma_flag::kSpecial) != 0) return kSpecial;
  const MergeRefusal refusal = SidesObject(proposed, *next);
  return refusal != kNone ? refusal : AnonVmasObject(*next, proposed);
}

}  // namespace

MergeDecision DecideMerge(const std::optional<VmaShape>& previous, const VmaShape& proposed,
                          const std::optional<VmaShape>& next) {
  MergeDecision decision{WithPrevious(previous, proposed), WithNext(proposed, next)};
  if (decision.previous() && decision.next() && previous->anon_vma != nullptr &&
      next->anon_vma != nullptr && previous->anon_vma != next->anon_vma) {
    decision.with_next = kOtherNeighbour;
  }
  return decision;
}

std::string_view Name(MergeRefusal refusal) {
  switch (refusal) {
    case kNone:
      return "merged";
    case kNoNeighbour:
      return "no_neighbour";
    case kSpecial:
      return "special";
    case kFlags:
      return "flags";
    case kMapping:
      return "mapping";
    case kPgoff:
      return "pgoff";
    case kAnonVma:
      return "anon_vma";
    case kForkChild:
      return "fork_child";
    case kOtherNeighbour:
      return "other_neighbour";
    case kCount:
      break;
  }
  return "?";
}

}  // namespace faultline
