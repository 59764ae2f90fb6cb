// SPDX-License-Identifier: Apache-2.0
//
// The edits of vma_edit.h. Each has two halves: what can fail, then what cannot.
//
// Readers without mmap_lock see the tree before or after the one store of an edit. VMAs change
// their ranges while marked, and a VMA that loses a part of its range does so before the store that
// gives that part to another, so at no time do two VMAs of the tree claim one address.
#include "core/mm/vma_edit.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/mm/vma_removal.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Locks what rmap walks use to find `vma`, for changes of its range (B5; Linux: vma_prepare to
/// vma_complete). Nothing to lock for an anonymous VMA without pages.
class RmapWriteScope {
 public:
  explicit RmapWriteScope(Vma& vma) ABSL_NO_THREAD_SAFETY_ANALYSIS  // conditional, for this scope
      : mapping_(vma.mapping()),
        anon_vma_(vma.anon_vma()) {
    if (mapping_ != nullptr) mapping_->i_mmap().Lock();
    if (anon_vma_ != nullptr) anon_vma_->lock().Lock();
  }
  ~RmapWriteScope() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (anon_vma_ != nullptr) anon_vma_->lock().Unlock();
    if (mapping_ != nullptr) mapping_->i_mmap().Unlock();
  }
  RmapWriteScope(const RmapWriteScope&) = delete;
  RmapWriteScope& operator=(const RmapWriteScope&) = delete;

 private:
  Mapping* mapping_;
  AnonVma* anon_vma_;
};

}  // namespace

// -- Finding
// ---------------------------------------------------------------------------------------

/// Of a free range: what ends where it begins, and what begins where it ends. One descent.
VmaEditor::Neighbours VmaEditor::NeighboursOfGap(VirtRange range) const {
  const MapleCursor gap(writer_.tree(), range.start().value());
  MM_DCHECK(gap.entry().value == nullptr && gap.entry().last >= range.end().value() - 1);
  Neighbours found;
  if (gap.entry().first == range.start().value()) {
    MapleCursor before = gap;
    if (before.Prev()) found.previous = static_cast<Vma*>(before.entry().value);
  }
  if (gap.entry().last == range.end().value() - 1) {
    MapleCursor behind = gap;
    if (behind.Next()) found.next = static_cast<Vma*>(behind.entry().value);
  }
  return found;
}

// -- Splitting ------------------------------------------------------------------------------------

Result<void> VmaEditor::Split(Vma& vma, VirtAddr addr, Keep keep) {
  if (writer_.map_count() >= writer_.options().max_map_count) return Errno::kEnomem;
  return SplitUnlimited(vma, addr, keep);
}

Result<void> VmaEditor::SplitUnlimited(Vma& vma, VirtAddr addr, Keep keep) {
  MM_DCHECK(vma.start() < addr && addr < vma.end());
  const VirtRange lower(vma.start(), addr);
  const VirtRange upper(addr, vma.end());
  const bool keeps_lower = keep == Keep::kLower;
  const VirtRange fresh_range = keeps_lower ? upper : lower;
  MM_ASSIGN_OR_RETURN(Vma* const fresh, writer_.services().vmas.Allocate());
  fresh->Init(writer_.mm(), fresh_range, vma.flags(), vma.mapping(),
              vma.IndexOf(fresh_range.start()));
  fresh->SetOpenFile(vma.open_file());
  fresh->SetAnonVma(vma.anon_vma());
  Result<void> ready = Reserve(fresh_range);
  if (ready.ok()) ready = writer_.services().anon_vmas.Clone(*fresh, vma);
  if (!ready.ok()) {
    fresh->SetAnonVma(nullptr);
    writer_.Free(*fresh);
    return ready;
  }

  writer_.Mark(vma);
  writer_.Mark(*fresh);
  fresh->Attach();
  if (fresh->mapping() != nullptr) fresh->mapping()->Get();
  {
    const RmapWriteScope rmap(vma);
    vma.SetRange(keeps_lower ? lower : upper, keeps_lower ? vma.pgoff() : vma.IndexOf(addr));
    Publish(fresh_range, fresh);
  }
  if (fresh->mapping() != nullptr) fresh->mapping()->Link(*fresh);
  ++writer_.map_count();
  ++writer_.merge_counts().splits;
  return {};
}

// -- Merging --------------------------------------------------------------------------------------

/// What a merge does: `target` gets `range`, `removed` go, `shrunk` keeps the rest.
struct VmaEditor::MergePlan {
  Vma* target = nullptr;
  VirtRange range;
  PageIndex pgoff{0};
  VmaFlags sticky = 0;         ///< of all parts
  Vma* anon_source = nullptr;  ///< whose chains a target without anon_vma takes over
  Vma* removed[2] = {nullptr, nullptr};
  Vma* shrunk = nullptr;
  VirtRange shrunk_range;
};

namespace {

/// The sticky flags of all that becomes one VMA.
VmaFlags StickyOf(const MergeDecision& decision, const Vma* previous, VmaFlags proposed,
                  const Vma* next) {
  VmaFlags flags = proposed;
  if (decision.previous()) flags |= previous->flags();
  if (decision.next()) flags |= next->flags();
  return flags & vma_flag::kSticky;
}

}  // namespace

Result<Vma*> VmaEditor::Modify(Vma& vma, VirtRange range, VmaFlags flags) {
  MM_ASSIGN_OR_RETURN(Vma* const merged, MergeExisting(vma, range, flags));
  if (merged != nullptr) return merged;
  if (vma.start() < range.start()) MM_TRY(Split(vma, range.start(), Keep::kUpper));
  if (vma.end() > range.end()) MM_TRY(Split(vma, range.end(), Keep::kLower));
  writer_.Mark(vma);
  vma.SetFlags(flags);
  return &vma;
}

/// Linux: vma_merge_existing_range. Null if nothing merges.
Result<Vma*> VmaEditor::MergeExisting(Vma& vma, VirtRange range, VmaFlags flags) {
  const bool at_start = range.start() == vma.start();
  const bool at_end = range.end() == vma.end();
  Vma* const previous = at_start ? Previous(vma) : nullptr;
  Vma* const next = at_end ? Next(vma) : nullptr;
  VmaShape proposed = ShapeOf(vma);
  proposed.range = range;
  proposed.flags = flags;
  proposed.pgoff = vma.IndexOf(range.start());
  const MergeDecision decision = DecideMerge(ShapeIf(previous), proposed, ShapeIf(next));
  writer_.merge_counts().Note(decision);
  if (!decision.any()) return nullptr;

  MergePlan plan;
  plan.anon_source = &vma;
  plan.sticky = StickyOf(decision, previous, flags, next);
  const bool whole = at_start && at_end;
  if (decision.previous()) {
    plan.target = previous;
    plan.range = VirtRange(previous->start(), decision.next() ? next->end() : range.end());
    plan.pgoff = previous->pgoff();
    // Either may have the anon_vma that a target without one gets.
    if (decision.next() && next->anon_vma() != nullptr) plan.anon_source = next;
  } else {
    plan.target = next;
    plan.range = VirtRange(range.start(), next->end());
    plan.pgoff = vma.IndexOf(range.start());
  }
  if (whole) {
    plan.removed[0] = &vma;
    if (decision.previous() && decision.next()) plan.removed[1] = next;
  } else {
    plan.shrunk = &vma;
    plan.shrunk_range =
        at_start ? VirtRange(range.end(), vma.end()) : VirtRange(vma.start(), range.start());
  }
  MM_TRY(Carry(plan, nullptr));
  return plan.target;
}

Result<Vma*> VmaEditor::Merge(const VmaProposal& proposal, Join join, VmaRemoval* over) {
  const Neighbours beside =
      over == nullptr || over->empty()
          ? NeighboursOfGap(proposal.range)
          : Neighbours{Before(proposal.range.start()), FindFrom(proposal.range.end())};
  Vma* const previous = beside.previous;
  Vma* const next = join == Join::kBoth ? beside.next : nullptr;
  VmaShape proposed{.range = proposal.range,
                    .flags = proposal.flags,
                    .mapping = proposal.mapping,
                    .open_file = proposal.open_file,
                    .pgoff = proposal.pgoff};
  if (proposal.source != nullptr) {
    proposed.anon_vma = proposal.source->anon_vma();
    // What extends a VMA is part of it; only a copy would carry the chains of a fork elsewhere.
    proposed.is_fork_child =
        proposal.role == SourceRole::kCopied && AnonVmas::IsForkChild(*proposal.source);
  }
  const MergeDecision decision = DecideMerge(ShapeIf(previous), proposed, ShapeIf(next));
  writer_.merge_counts().Note(decision);
  if (!decision.any()) return nullptr;

  MergePlan plan;
  plan.anon_source = proposal.source;
  plan.sticky = StickyOf(decision, previous, proposal.flags, next);
  const VirtAddr start = decision.previous() ? previous->start() : proposal.range.start();
  const VirtAddr end = decision.next() ? next->end() : proposal.range.end();
  plan.target = decision.previous() ? previous : next;
  plan.range = VirtRange(start, end);
  plan.pgoff = decision.previous() ? previous->pgoff() : proposal.pgoff;
  if (decision.previous() && decision.next()) {
    plan.removed[0] = next;
    if (next->anon_vma() != nullptr) plan.anon_source = next;
  }
  MM_TRY(Carry(plan, over));
  return plan.target;
}

/// Carries out a plan, whole or not at all.
Result<void> VmaEditor::Carry(const MergePlan& plan, VmaRemoval* over) {
  Vma& target = *plan.target;
  MM_TRY(Reserve(plan.range));
  MM_TRY(TakeOverAnonVma(target, plan.anon_source));
  if (over != nullptr) over->ClearForReplacement();

  writer_.Mark(target);
  if (plan.shrunk != nullptr) writer_.Mark(*plan.shrunk);
  for (Vma* removed : plan.removed) {
    if (removed != nullptr) writer_.Mark(*removed);
  }
  {
    const RmapWriteScope rmap(target);
    if (plan.shrunk != nullptr) {
      plan.shrunk->SetRange(plan.shrunk_range, plan.shrunk->IndexOf(plan.shrunk_range.start()));
    }
    target.SetRange(plan.range, plan.pgoff);
    target.AddStickyFlags(plan.sticky);
    Publish(plan.range, &target);
  }
  if (over != nullptr) over->Detach();
  for (Vma* removed : plan.removed) {
    if (removed != nullptr) Remove(*removed);
  }
  return {};
}

/// Gives a target without anon_vma the chains of `source` (Linux: dup_anon_vma).
Result<void> VmaEditor::TakeOverAnonVma(Vma& target, Vma* source) {
  if (source == nullptr || source->anon_vma() == nullptr || target.anon_vma() != nullptr) return {};
  writer_.Mark(target);
  target.SetAnonVma(source->anon_vma());
  const Result<void> cloned = writer_.services().anon_vmas.Clone(target, *source);
  if (!cloned.ok()) target.SetAnonVma(nullptr);
  return cloned;
}

// -- Adding ---------------------------------------------------------------------------------------

Result<Vma*> VmaEditor::Place(const VmaProposal& proposal, VmaRemoval* over) {
  MM_ASSIGN_OR_RETURN(Vma* const merged, Merge(proposal, Join::kBoth, over));
  return merged != nullptr ? merged : Insert(proposal, over);
}

Result<Vma*> VmaEditor::Insert(const VmaProposal& proposal, VmaRemoval* over) {
  MM_ASSIGN_OR_RETURN(Vma* const vma, writer_.services().vmas.Allocate());
  vma->Init(writer_.mm(), proposal.range, proposal.flags, proposal.mapping, proposal.pgoff);
  vma->SetOpenFile(proposal.open_file);
  Result<void> ready = Reserve(proposal.range);
  if (ready.ok() && proposal.source != nullptr && proposal.source->anon_vma() != nullptr) {
    vma->SetAnonVma(proposal.source->anon_vma());
    ready = writer_.services().anon_vmas.Clone(*vma, *proposal.source);
  }
  if (!ready.ok()) {
    vma->SetAnonVma(nullptr);
    writer_.Free(*vma);
    return ready.error();
  }
  if (over != nullptr) over->ClearForReplacement();
  writer_.Mark(*vma);
  vma->Attach();
  if (proposal.mapping != nullptr) {
    proposal.mapping->Get();
    proposal.mapping->Link(*vma);
  }
  Publish(proposal.range, vma);
  if (over != nullptr) over->Detach();
  ++writer_.map_count();
  return vma;
}

// -- Removing -------------------------------------------------------------------------------------

void VmaEditor::UnlinkRmap(Vma& vma) {
  if (vma.anon_vma() != nullptr) writer_.services().anon_vmas.Unlink(vma);
  if (vma.mapping() != nullptr) vma.mapping()->Unlink(vma);
}

void VmaEditor::Free(Vma& vma) {
  MM_DCHECK(vma.is_detached() && vma.anon_vma_chains().empty());
  if (vma.mapping() != nullptr) vma.mapping()->Put();
  writer_.Free(vma);
}

/// Removes a VMA whose range another one has taken over.
void VmaEditor::Remove(Vma& vma) {
  vma.Detach();
  UnlinkRmap(vma);
  Free(vma);
  --writer_.map_count();
}

// -- The tree -------------------------------------------------------------------------------------

Result<void> VmaEditor::Reserve(VirtRange range) const {
  return writer_.tree().Reserve(range.start().value(), range.end().value() - 1);
}

void VmaEditor::Publish(VirtRange range, Vma* vma) const {
  writer_.tree().Store(range.start().value(), range.end().value() - 1, vma);
}

VmaShape VmaEditor::ShapeOf(Vma& vma) {
  return {.range = vma.range(),
          .flags = vma.flags(),
          .mapping = vma.mapping(),
          .open_file = vma.open_file(),
          .pgoff = vma.pgoff(),
          .anon_vma = vma.anon_vma(),
          .is_fork_child = AnonVmas::IsForkChild(vma)};
}

std::optional<VmaShape> VmaEditor::ShapeIf(Vma* vma) {
  if (vma == nullptr) return std::nullopt;
  return ShapeOf(*vma);
}

}  // namespace faultline
