// SPDX-License-Identifier: Apache-2.0
//
// mmap (Linux: do_mmap in mm/mmap.c, mmap_region in mm/vma.c). Checks in the kernel's order, since
// the order decides which error a call with several faults gets; then placement; then the region:
// what was there goes, the new mapping joins a neighbour or becomes a VMA of its own.
//
// Everything that can fail is done before the first page of an old mapping is cleared.
#include <algorithm>
#include <optional>

#include "core/mm/placement.h"
#include "core/mm/populate.h"
#include "core/mm/vma_removal.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;       // NOLINT(google-build-using-namespace): names of the ABI
using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

constexpr uint64_t kLegacyFlags = kMapShared | kMapPrivate | kMapFixed | kMapAnonymous |
                                  kMapDenyWrite | kMapExecutable | kMapGrowsDown | kMapLocked |
                                  kMapNoReserve | kMapPopulate | kMapNonBlock | kMapStack |
                                  kMapHugetlb | kMap32Bit | kMapAbove4G;

/// A mapping request on its way from raw arguments to a region.
struct Region {
  VirtRange range;
  VmaFlags flags = 0;
  Mapping* mapping = nullptr;  ///< of the file; shared anonymous memory gets its own later
  OpenFileId open_file = 0;
  uint64_t pgoff = 0;
  bool may_be_occupied = false;  ///< a fixed place; FindPlace only gives free ones
};

/// calc_vm_flag_bits
VmaFlags FlagsFromMap(uint64_t map_flags) {
  VmaFlags flags = 0;
  if ((map_flags & kMapGrowsDown) != 0) flags |= kGrowsDown;
  if ((map_flags & kMapLocked) != 0) flags |= kLocked;
  if ((map_flags & kMapSync) != 0) flags |= kSync;
  if ((map_flags & kMapStack) != 0) flags |= kNoHugePage;
  return flags;
}

/// The type of a file mapping.
Result<void> ApplyFileType(const MmapArgs& args, uint64_t map_flags, Region& region) {
  const uint64_t type = map_flags & kMapType;
  if (type == kMapShared) map_flags &= kLegacyFlags;
  if (type != kMapShared && type != kMapSharedValidate && type != kMapPrivate) {
    return Errno::kEinval;
  }
  if (type != kMapPrivate) {
    if ((map_flags & ~kLegacyFlags & ~kMapType) != 0) return Errno::kEopnotsupp;
    if ((args.prot & kProtWrite) != 0 && !args.file_writable) return Errno::kEacces;
    region.flags |= kShared | kMayShare;
    if (!args.file_writable) region.flags &= ~(kMayWrite | kShared);
  }
  if ((region.flags & kGrowsDown) != 0) return Errno::kEinval;
  return {};
}

/// The type of an anonymous mapping.
Result<void> ApplyAnonymousType(uint64_t map_flags, Region& region) {
  switch (map_flags & kMapType) {
    case kMapShared:
      if ((region.flags & kGrowsDown) != 0) return Errno::kEinval;
      region.pgoff = 0;
      region.flags |= kShared | kMayShare;
      return {};
    case kMapDroppable:
      // Asked to be locked, or a stack: neither makes sense as droppable.
      if ((map_flags & (kMapLocked | kMapHugetlb)) != 0) return Errno::kEinval;
      if ((region.flags & kGrowsDown) != 0) return Errno::kEinval;
      region.flags |= kDroppable | kNoReserve | kWipeOnFork | kDontDump;
      [[fallthrough]];
    case kMapPrivate:
      region.pgoff = region.range.start().value() >> kPageShift;
      return {};
    default:
      return Errno::kEinval;
  }
}

/// What do_mmap checks and decides before it goes for the region.
Result<Region> PrepareRegion(VmaEditor& editor, const MmapArgs& args) {
  MmWriter& writer = editor.writer();
  uint64_t map_flags = args.flags;
  if (args.length == 0) return Errno::kEinval;
  if ((map_flags & kMapFixedNoReplace) != 0) map_flags |= kMapFixed;
  uint64_t hint = args.addr.value();
  if ((map_flags & kMapFixed) == 0) {
    // round_hint_to_min
    hint = PageAlignDown(hint);
    if (hint != 0 && hint < writer.options().mmap_min_addr) hint = writer.options().mmap_min_addr;
  }
  const std::optional<uint64_t> length = PageAlignUp(args.length);
  if (!length) return Errno::kEnomem;
  Region region;
  region.pgoff = args.offset >> kPageShift;
  if (region.pgoff + (*length >> kPageShift) < region.pgoff) return Errno::kEoverflow;
  if (writer.map_count() > writer.options().max_map_count) return Errno::kEnomem;
  region.flags = (args.prot & (kProtRead | kProtWrite | kProtExec)) | FlagsFromMap(map_flags) |
                 writer.default_flags() | kMayRead | kMayWrite | kMayExec;

  const bool is_file = (map_flags & kMapAnonymous) == 0;
  MM_ASSIGN_OR_RETURN(const VirtAddr place, FindPlace(editor, {.hint = VirtAddr(hint),
                                                               .length = *length,
                                                               .map_flags = map_flags,
                                                               .is_file = is_file}));
  region.range = VirtRange(place, place + *length);
  region.may_be_occupied = (map_flags & kMapFixed) != 0;
  if ((map_flags & kMapFixedNoReplace) != 0 && editor.FirstIn(region.range) != nullptr) {
    return Errno::kEexist;
  }
  if (!writer.MayLock(region.flags, *length)) return Errno::kEagain;
  if (is_file) {
    // file_mmap_ok: the end has to be less than 2^63, the size limit of files.
    if (region.pgoff + (*length >> kPageShift) >= (1ull << 51)) return Errno::kEoverflow;
    region.mapping = args.file;
    region.open_file = args.open_file;
    MM_TRY(ApplyFileType(args, map_flags, region));
  } else {
    MM_TRY(ApplyAnonymousType(map_flags, region));
  }
  if ((map_flags & kMapNoReserve) != 0) region.flags |= kNoReserve;
  return region;
}

/// Private writable memory is committed (Linux: accountable_mapping).
bool IsAccountable(VmaFlags flags) { return (flags & (kNoReserve | kShared | kWrite)) == kWrite; }

/// The object behind a shared anonymous mapping; the caller gets a reference.
Result<Mapping*> CreateShared(const MmServices& services, VirtRange range) {
  const uint64_t inode = services.next_inode.FetchAdd(1, kRelaxed);  // relaxed: only a name
  return Mapping::Create({.kind = Mapping::Kind::kShmem,
                          .name = "/dev/zero (deleted)",
                          .inode = inode,
                          .bytes = range.bytes()},
                         services.frames, services.heap);
}

/// Puts the region in place of whatever is there (Linux: mmap_region).
Result<void> PlaceRegion(VmaEditor& editor, const Region& region) {
  MmWriter& writer = editor.writer();
  VmaRemoval removal(editor, region.range);
  if (region.may_be_occupied) MM_TRY(removal.Gather());
  VmaProposal proposal{.range = region.range,
                       .flags = region.flags,
                       .mapping = region.mapping,
                       .open_file = region.open_file,
                       .pgoff = PageIndex(region.pgoff)};
  const uint64_t pages = region.range.pages();
  Result<void> ready;
  if (!writer.MayExpand(region.flags, pages - removal.pages())) ready = Errno::kEnomem;
  if (IsAccountable(region.flags)) {
    proposal.flags |= kAccount;
    const uint64_t freed = std::min(pages, removal.committed());
    if (!writer.MayCommit(pages - freed)) ready = Errno::kEnomem;
  }
  if (ready.ok()) {
    const Result<Vma*> placed = editor.Place(proposal, &removal);
    if (!placed.ok()) {
      ready = placed.error();
    } else if ((proposal.flags & (kSpecial | kDroppable)) != 0) {
      // Such memory is never locked, even if all that is mapped from now on should be.
      proposal.flags &= ~kLockedMask;
      (*placed)->SetFlags((*placed)->flags() & ~kLockedMask);
    }
  }
  if (!ready.ok()) {
    removal.Abandon();
    return ready;
  }
  removal.FreeVmas();
  writer.Account(proposal.flags, static_cast<int64_t>(pages));
  return {};
}

}  // namespace

Result<VirtAddr> Mm::Mmap(const MmapArgs& args) {
  const ActivityScope activity(Activity::kMmap);
  if (!IsPageAligned(args.offset)) return Errno::kEinval;
  if ((args.flags & kMapAnonymous) == 0 && args.file == nullptr) return Errno::kEbadf;
  Region region;
  {
    MmWriter writer(*this);
    if (!writer.held()) return Errno::kEintr;
    VmaEditor editor(writer);
    MM_ASSIGN_OR_RETURN(region, PrepareRegion(editor, args));
    const bool shared_anonymous = region.mapping == nullptr && (region.flags & kShared) != 0;
    if (shared_anonymous) {
      MM_ASSIGN_OR_RETURN(region.mapping, CreateShared(services_, region.range));
    }
    const Result<void> placed = PlaceRegion(editor, region);
    if (shared_anonymous) region.mapping->Put();  // the VMA has its own reference
    if (!placed.ok()) return placed.error();
  }
  const bool populate = (args.flags & (kMapPopulate | kMapNonBlock)) == kMapPopulate;
  if (populate || (region.flags & kLocked) != 0) {
    (void)Populate(*this, region.range.start(), region.range.bytes(), PopulateErrors::kIgnore);
  }
  return region.range.start();
}

}  // namespace faultline
