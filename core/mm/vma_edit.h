// SPDX-License-Identifier: Apache-2.0
//
// VmaEditor: how VMAs come, go and change shape, so that operations need not know the steps (Linux:
// mm/vma.c: split_vma, vma_modify, vma_merge_existing_range, vma_merge_new_range, vma_expand,
// copy_vma). Merge rules are in core/vma/merge.h.
//
// Every edit allocates what it needs first, so that it either fails with ENOMEM having changed
// nothing, or is carried out whole: VMAs touched are marked, ranges change under their rmap locks,
// and the tree changes with one store. map_count, rmap links and references of Mappings are kept;
// page accounting is the operation's.
#pragma once

#include <optional>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/mm/mm_lock.h"
#include "core/vma/merge.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class VmaRemoval;

/// What a proposal is to its source.
enum class SourceRole : uint8_t {
  kCopied,    ///< a copy elsewhere (mremap's move)
  kExtended,  ///< a part behind its end (mremap's growth in place)
};

/// A mapping that is to be.
struct VmaProposal {
  VirtRange range;
  VmaFlags flags = 0;
  Mapping* mapping = nullptr;
  OpenFileId open_file = 0;
  PageIndex pgoff{0};
  /// The VMA that it copies or extends, whose anon_vma it gets; null for a new mapping.
  Vma* source = nullptr;
  SourceRole role = SourceRole::kCopied;
};

class VmaEditor : public VmaFinder {
 public:
  explicit VmaEditor(MmWriter& writer) : VmaFinder(writer.tree()), writer_(writer) {}

  // -- Splitting ---------------------------------------------------------------------------------

  /// Which part of a split VMA remains the old object.
  enum class Keep : uint8_t { kLower, kUpper };
  /// Splits `vma` at `addr`, which is inside. ENOMEM, also if max_map_count is reached.
  [[nodiscard]] Result<void> Split(Vma& vma, VirtAddr addr, Keep keep);
  /// The same without regard to max_map_count.
  [[nodiscard]] Result<void> SplitUnlimited(Vma& vma, VirtAddr addr, Keep keep);

  // -- Changing ----------------------------------------------------------------------------------

  /// Gives `range`, which is inside `vma`, `flags`: merges it with neighbours that have them
  /// already, else splits it off. The result is marked and may be larger than `range`. ENOMEM: as
  /// it was, but for a split done. (Linux: vma_modify and what its callers do next)
  [[nodiscard]] Result<Vma*> Modify(Vma& vma, VirtRange range, VmaFlags flags);

  // -- Adding ------------------------------------------------------------------------------------

  /// Which neighbours a new mapping may join.
  enum class Join : uint8_t { kBoth, kPreviousOnly };
  /// Joins the proposal to its neighbours if that is allowed: returns the VMA that it is part of
  /// then, or null. Its place is free, or `over` has gathered what is there: that is cleared once
  /// nothing can fail any more and replaced with the same store, so that no reader sees a gap. The
  /// caller frees it afterwards. ENOMEM changes nothing. (Linux: vma_merge_new_range)
  [[nodiscard]] Result<Vma*> Merge(const VmaProposal& proposal, Join join = Join::kBoth,
                                   VmaRemoval* over = nullptr);
  /// Makes the proposal a VMA of its own: with references, rmap links and a copy of the source's
  /// anon_vma chains. Place and errors as with Merge.
  [[nodiscard]] Result<Vma*> Insert(const VmaProposal& proposal, VmaRemoval* over = nullptr);
  /// Merge if that is allowed, else Insert.
  [[nodiscard]] Result<Vma*> Place(const VmaProposal& proposal, VmaRemoval* over = nullptr);

  // -- Removing ----------------------------------------------------------------------------------

  /// Takes `vma` out of rmap. The first step of removal: no rmap walk finds it from now on.
  void UnlinkRmap(Vma& vma);
  /// Drops what an unlinked VMA, which the tree does not have any more, refers to, and frees it.
  /// mmap_lock may be downgraded by then.
  void Free(Vma& vma);

  /// What DecideMerge wants to know about `vma`.
  [[nodiscard]] static VmaShape ShapeOf(Vma& vma);

  [[nodiscard]] MmWriter& writer() const { return writer_; }

 private:
  struct MergePlan;
  struct Neighbours {
    Vma* previous = nullptr;
    Vma* next = nullptr;
  };

  [[nodiscard]] Neighbours NeighboursOfGap(VirtRange range) const;

  [[nodiscard]] static std::optional<VmaShape> ShapeIf(Vma* vma);
  [[nodiscard]] Result<Vma*> MergeExisting(Vma& vma, VirtRange range, VmaFlags flags);
  [[nodiscard]] Result<void> Carry(const MergePlan& plan, VmaRemoval* over);
  [[nodiscard]] Result<void> TakeOverAnonVma(Vma& target, Vma* source);
  [[nodiscard]] Result<void> Reserve(VirtRange range) const;
  void Publish(VirtRange range, Vma* vma) const;
  void Remove(Vma& vma);

  MmWriter& writer_;
};

}  // namespace faultline
