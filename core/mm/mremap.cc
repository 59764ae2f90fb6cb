// SPDX-License-Identifier: Apache-2.0
//
// mremap (Linux: mm/mremap.c, as of 6.17: with moves of several VMAs at once). Shrinks, grows in
// place, or moves: the new VMA is published, the page-table entries move under both table locks,
// the old range is unmapped.
//
// Order (DESIGN section 4): mark both, publish the new, move with the flush inside, unmap the old.
// If tables for the move are missing, entries go back and the new place is unmapped again.
#include <algorithm>
#include <optional>

#include "core/mm/placement.h"
#include "core/mm/populate.h"
#include "core/mm/vma_removal.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;       // NOLINT(google-build-using-namespace): names of the ABI
using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

/// The arguments, lengths in whole pages (Linux: struct vma_remap_struct).
struct RemapArgs {
  VirtAddr addr{0};
  uint64_t old_bytes = 0;
  uint64_t new_bytes = 0;
  uint64_t flags = 0;
  VirtAddr new_addr{0};

  [[nodiscard]] bool Has(uint64_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool names_target() const { return Has(kMremapFixed | kMremapDontUnmap); }
};

/// check_mremap_params
Result<void> CheckArgs(const MmWriter& writer, const RemapArgs& args) {
  const uint64_t task_size = writer.task_size().value();
  if (args.new_bytes == 0 || args.new_bytes > task_size) return Errno::kEinval;
  if (!args.names_target()) return {};
  if (args.new_addr.value() > task_size - args.new_bytes) return Errno::kEinval;
  if (!IsPageAligned(args.new_addr)) return Errno::kEinval;
  if (!args.Has(kMremapMayMove)) return Errno::kEinval;
  if (args.Has(kMremapDontUnmap) && args.old_bytes != args.new_bytes) return Errno::kEinval;
  if (args.addr + args.old_bytes > args.new_addr && args.new_addr + args.new_bytes > args.addr) {
    return Errno::kEinval;
  }
  // A move may need two splits at the source and two at the target.
  if (writer.map_count() + 2 >= writer.options().max_map_count - 3) return Errno::kEnomem;
  return {};
}

class Remapper {
 public:
  explicit Remapper(VmaEditor& editor) : editor_(editor), writer_(editor.writer()) {}

  /// One VMA's part: within the VMA at args.addr. Where it is afterwards.
  [[nodiscard]] Result<VirtAddr> Remap(const RemapArgs& args) {
    Vma* const vma = editor_.At(args.addr);
    MM_TRY(CheckVma(vma, args));
    return args.names_target() ? MoveTo(args) : ResizeAt(*vma, args);
  }
  /// All VMAs in the range move, with the holes between them (Linux: remap_move).
  [[nodiscard]] Result<VirtAddr> MoveAll(const RemapArgs& args);

  /// The part that has to be populated since the VMA is locked; empty if none.
  [[nodiscard]] VirtRange to_populate() const { return to_populate_; }

 private:
  [[nodiscard]] Result<void> CheckVma(const Vma* vma, const RemapArgs& args);
  [[nodiscard]] Result<VirtAddr> ResizeAt(Vma& vma, const RemapArgs& args);
  [[nodiscard]] Result<void> GrowInPlace(Vma& vma, uint64_t bytes);
  [[nodiscard]] bool CanGrowInPlace(const Vma& vma, const RemapArgs& args) const;
  [[nodiscard]] Result<VirtAddr> MoveTo(RemapArgs args);
  [[nodiscard]] Result<VirtAddr> FindTarget(const Vma& vma, const RemapArgs& args) const;
  [[nodiscard]] Result<VirtAddr> Move(Vma& vma, const RemapArgs& args);
  [[nodiscard]] Result<Vma*> CopyVma(Vma& vma, const RemapArgs& args);
  void FinishDontUnmap(Vma& from, const Vma& to, VirtRange range);
  void UnmapSource(VirtRange range);

  VmaEditor& editor_;
  MmWriter& writer_;
  VirtRange to_populate_;
};

/// check_prep_vma
Result<void> Remapper::CheckVma(const Vma* vma, const RemapArgs& args) {
  if (vma == nullptr) return Errno::kEfault;
  if (vma->Has(kSealed)) return Errno::kEperm;
  const bool grows = args.new_bytes > args.old_bytes;
  if (!grows && !args.names_target()) return {};
  // A length of 0 duplicates; only a shared mapping has something to share.
  if (args.old_bytes == 0 && !vma->Has(kShared | kMayShare)) return Errno::kEinval;
  if (args.Has(kMremapDontUnmap) && vma->Has(kDontExpand | kPfnMap)) return Errno::kEinval;
  // A move that also shrinks looks at what is left.
  if (std::min(args.old_bytes, args.new_bytes) > vma->end() - args.addr) return Errno::kEfault;
  if (args.new_bytes == args.old_bytes) return {};
  const uint64_t first = vma->IndexOf(args.addr).value();
  if (first + (args.new_bytes >> kPageShift) < first) return Errno::kEinval;
  if (vma->Has(kDontExpand | kPfnMap)) return Errno::kEfault;
  if (!grows) return {};
  const uint64_t delta = args.new_bytes - args.old_bytes;
  if (!writer_.MayLock(vma->flags(), delta)) return Errno::kEagain;
  if (!writer_.MayExpand(vma->flags(), delta >> kPageShift)) return Errno::kEnomem;
  return {};
}

// -- In place -------------------------------------------------------------------------------------

Result<VirtAddr> Remapper::ResizeAt(Vma& vma, const RemapArgs& args) {
  if (args.new_bytes == args.old_bytes) return args.addr;
  const VirtAddr new_end = args.addr + args.new_bytes;
  if (args.new_bytes < args.old_bytes) {
    MM_ASSIGN_OR_RETURN(const VirtRange tail,
                        RangeToUnmap(writer_, new_end, args.old_bytes - args.new_bytes));
    MM_TRY(RemoveRangeDowngrading(editor_, tail));
    return args.addr;
  }
  const VirtAddr old_end = args.addr + args.old_bytes;
  if (CanGrowInPlace(vma, args)) {
    const bool locked = vma.Has(kLocked);
    MM_TRY(GrowInPlace(vma, args.new_bytes - args.old_bytes));
    if (locked) to_populate_ = VirtRange(old_end, new_end);
    return args.addr;
  }
  if (!args.Has(kMremapMayMove)) return Errno::kEnomem;
  MM_ASSIGN_OR_RETURN(const VirtAddr target, FindTarget(vma, args));
  RemapArgs move = args;
  move.new_addr = target;
  return Move(vma, move);
}

/// vma_expandable
bool Remapper::CanGrowInPlace(const Vma& vma, const RemapArgs& args) const {
  if (args.addr + args.old_bytes != vma.end()) return false;
  const uint64_t delta = args.new_bytes - args.old_bytes;
  const std::optional<VirtRange> more = VirtRange::FromLength(vma.end(), delta);
  if (!more || editor_.FirstIn(*more) != nullptr) return false;
  return FindPlace(
             editor_,
             {.hint = vma.start(), .length = vma.range().bytes() + delta, .map_flags = kMapFixed})
      .ok();
}

Result<void> Remapper::GrowInPlace(Vma& vma, uint64_t bytes) {
  const VmaFlags flags = vma.flags();
  const uint64_t pages = bytes >> kPageShift;
  if ((flags & kAccount) != 0 && !writer_.MayCommit(pages)) return Errno::kEnomem;
  const VmaProposal proposal{.range = VirtRange(vma.end(), vma.end() + bytes),
                             .flags = flags,
                             .mapping = vma.mapping(),
                             .open_file = vma.open_file(),
                             .pgoff = vma.pgoff() + vma.pages(),
                             .source = &vma,
                             .role = SourceRole::kExtended};
  MM_ASSIGN_OR_RETURN(const Vma* const grown, editor_.Merge(proposal));
  if (grown == nullptr) return Errno::kEnomem;
  writer_.Account(flags, static_cast<int64_t>(pages));
  return {};
}

// -- Moving ---------------------------------------------------------------------------------------

/// mremap_to
Result<VirtAddr> Remapper::MoveTo(RemapArgs args) {
  if (args.Has(kMremapFixed)) {
    MM_TRY(RemoveRange(editor_, VirtRange(args.new_addr, args.new_addr + args.new_bytes)));
    // Where the arguments wrap, the target may have been the source.
    if (editor_.At(args.addr) == nullptr) return Errno::kEfault;
  }
  if (args.new_bytes < args.old_bytes) {
    MM_ASSIGN_OR_RETURN(const VirtRange tail, RangeToUnmap(writer_, args.addr + args.new_bytes,
                                                           args.old_bytes - args.new_bytes));
    MM_TRY(RemoveRange(editor_, tail));
    args.old_bytes = args.new_bytes;
  }
  Vma* const vma = editor_.At(args.addr);  // it may have been split by the removals
  if (vma == nullptr) return Errno::kEfault;
  if (args.Has(kMremapDontUnmap) &&
      !writer_.MayExpand(vma->flags(), args.old_bytes >> kPageShift)) {
    return Errno::kEnomem;
  }
  MM_ASSIGN_OR_RETURN(args.new_addr, FindTarget(*vma, args));
  return Move(*vma, args);
}

/// vrm_set_new_addr
Result<VirtAddr> Remapper::FindTarget(const Vma& vma, const RemapArgs& args) const {
  uint64_t map_flags = args.Has(kMremapFixed) ? kMapFixed : 0;
  if (vma.Has(kMayShare)) map_flags |= kMapShared;
  return FindPlace(editor_, {.hint = args.names_target() ? args.new_addr : VirtAddr(0),
                             .length = args.new_bytes,
                             .map_flags = map_flags,
                             .is_file = vma.mapping() != nullptr});
}

/// move_vma: the VMA's part [addr, addr + old) goes to new_addr and gets the new length.
Result<VirtAddr> Remapper::Move(Vma& vma, const RemapArgs& args) {
  if (writer_.map_count() >= writer_.options().max_map_count - 3) return Errno::kEnomem;
  const VmaFlags flags = vma.flags();
  const VirtRange from(args.addr, args.addr + args.old_bytes);
  const uint64_t new_pages = args.new_bytes >> kPageShift;
  if ((flags & kAccount) != 0) {
    const uint64_t kept = args.Has(kMremapDontUnmap) ? 0 : from.pages();
    if (!writer_.MayCommit(new_pages - kept)) return Errno::kEnomem;
  }
  writer_.Mark(vma);
  MM_ASSIGN_OR_RETURN(Vma* const moved, CopyVma(vma, args));
  writer_.Account(flags, static_cast<int64_t>(new_pages));

  writer_.AwaitFaults();
  const MmServices& services = writer_.services();
  TlbGather gather(services.frames, services.heap, services.tlbs, writer_.tlb());
  const uint64_t bytes =
      MoveRange(writer_.tables(), gather, args.addr, args.new_addr, args.old_bytes);
  if (bytes < args.old_bytes) {
    // The tables to go back to are still there.
    const uint64_t back = MoveRange(writer_.tables(), gather, args.new_addr, args.addr, bytes);
    MM_CHECK_EQ(back, bytes);
    gather.Finish();
    UnmapSource(VirtRange(args.new_addr, args.new_addr + args.new_bytes));
    return Errno::kEnomem;
  }
  gather.Finish();
  if ((flags & kLocked) != 0 && args.new_bytes > args.old_bytes) {
    to_populate_ = VirtRange(args.new_addr + args.old_bytes, args.new_addr + args.new_bytes);
  }
  if (!args.Has(kMremapDontUnmap)) {
    if (!from.empty()) UnmapSource(from);
  } else if (Vma* const source = editor_.At(args.addr)) {
    FinishDontUnmap(*source, *moved, from);
  }
  return args.new_addr;
}

/// copy_vma: a VMA, or part of one, at the new place.
Result<Vma*> Remapper::CopyVma(Vma& vma, const RemapArgs& args) {
  VmaProposal proposal{.range = VirtRange(args.new_addr, args.new_addr + args.new_bytes),
                       .flags = vma.flags(),
                       .mapping = vma.mapping(),
                       .open_file = vma.open_file(),
                       .pgoff = vma.IndexOf(args.addr),
                       .source = &vma};
  // Without pages, the offset may follow the address, which lets the VMA merge at its new place.
  if (vma.is_anonymous() && vma.anon_vma() == nullptr) {
    proposal.pgoff = PageIndex(args.new_addr.value() >> kPageShift);
  }
  return editor_.Place(proposal);
}

/// dontunmap_complete: the source stays, without pages and without their owner.
void Remapper::FinishDontUnmap(Vma& from, const Vma& to, VirtRange range) {
  const VmaFlags flags = from.flags();
  if ((flags & kLocked) != 0) {
    // As Linux: the whole VMA loses the flags, even if only a part of it moved.
    writer_.Mark(from);
    const auto pages = static_cast<int64_t>(from.pages());
    writer_.Account(flags, -pages);
    writer_.Account(flags & ~kLockedMask, pages);
    from.SetFlags(flags & ~kLockedMask);
  }
  if (&from != &to && from.range() == range && from.anon_vma() != nullptr) {
    writer_.Mark(from);
    writer_.services().anon_vmas.Unlink(from);
  }
}

/// unmap_source_vma. If memory for a split is missing the range stays mapped, empty.
void Remapper::UnmapSource(VirtRange range) { (void)RemoveRange(editor_, range); }

Result<VirtAddr> Remapper::MoveAll(const RemapArgs& args) {
  const VirtAddr end = args.addr + args.old_bytes;
  std::optional<VirtAddr> result;
  VirtAddr last_end = args.addr;
  VirtAddr target = args.new_addr;
  for (VirtAddr at = args.addr; at < end;) {
    const Vma* const vma = editor_.FindFrom(at);
    if (vma == nullptr || vma->start() >= end) break;
    if (!result && vma->start() > args.addr) return Errno::kEfault;
    const VirtAddr from = std::max(vma->start(), at);
    const VirtAddr part_end = std::min(vma->end(), end);
    RemapArgs part = args;
    part.addr = from;
    part.old_bytes = part.new_bytes = part_end - from;
    part.new_addr = target + (result ? from - last_end : 0);
    last_end = part_end;
    MM_ASSIGN_OR_RETURN(const VirtAddr moved, Remap(part));
    if (!result) result = moved;
    target = moved + part.new_bytes;
    at = part_end;
  }
  if (!result) return Errno::kEfault;
  return *result;
}

}  // namespace

Result<VirtAddr> Mm::Mremap(VirtAddr addr, uint64_t old_length, uint64_t new_length, uint64_t flags,
                            VirtAddr new_addr) {
  const ActivityScope activity(Activity::kMremap);
  if ((flags & ~(kMremapMayMove | kMremapFixed | kMremapDontUnmap)) != 0) return Errno::kEinval;
  if (!IsPageAligned(addr)) return Errno::kEinval;
  // Lengths that wrap become 0, as in Linux.
  RemapArgs args{.addr = addr,
                 .old_bytes = PageAlignUp(old_length).value_or(0),
                 .new_bytes = PageAlignUp(new_length).value_or(0),
                 .flags = flags,
                 .new_addr = new_addr};
  VirtRange to_populate;
  Result<VirtAddr> result = Errno::kEinval;
  {
    MmWriter writer(*this);
    if (!writer.held()) return Errno::kEintr;
    MM_TRY(CheckArgs(writer, args));
    VmaEditor editor(writer);
    Remapper remapper(editor);
    const bool move_only = args.Has(kMremapFixed) && args.old_bytes == args.new_bytes;
    result = move_only ? remapper.MoveAll(args) : remapper.Remap(args);
    to_populate = remapper.to_populate();
  }
  if (result.ok() && !to_populate.empty()) {
    (void)Populate(*this, to_populate.start(), to_populate.bytes(), PopulateErrors::kIgnore);
  }
  return result;
}

}  // namespace faultline
