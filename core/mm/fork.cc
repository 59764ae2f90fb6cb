// SPDX-License-Identifier: Apache-2.0
//
// fork (Linux: dup_mmap in mm/mmap.c, anon_vma_fork, copy_page_range): a copy of the mm in which
// private pages are shared until one side writes.
//
// Every VMA of the parent is marked (B24): a fault that went on under a VMA's lock would map a page
// writable behind the copy's back. The child's mmap_lock is taken inside the parent's.
#include "core/base/mutant.h"
#include "core/mm/vma_edit.h"
#include "core/pgtable/range_ops.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names

/// Whether the page tables have something that a fault could not find again (Linux:
/// vma_needs_copy).
bool NeedsCopy(const Vma& vma) {
  if (vma.Has(kWipeOnFork)) return false;
  return vma.anon_vma() != nullptr || vma.Has(kPfnMap | kMixedMap | kMaybeGuard);
}

/// Copies VMA after VMA from a parent to a child without any.
class Forker {
 public:
  Forker(MmWriter& parent, MmWriter& child) : parent_(parent), child_(child) {}

  [[nodiscard]] Result<void> CopyAll() {
    const MmServices& services = parent_.services();
    TlbGather gather(services.frames, services.heap, services.tlbs, parent_.tlb());
    const Result<void> done = CopyVmas(gather);
    gather.Finish();  // the parent's entries lost their write permission
    return done;
  }

 private:
  Result<void> CopyVmas(TlbGather& gather) {
    const VmaEditor parent(parent_);
    if (parent_.AwaitsFaults()) {
      for (Vma* vma = parent.FindFrom(VirtAddr(0)); vma != nullptr; vma = parent.Next(*vma)) {
        parent_.Mark(*vma);
      }
      parent_.AwaitFaults();
    }
    for (Vma* vma = parent.FindFrom(VirtAddr(0)); vma != nullptr; vma = parent.Next(*vma)) {
      if (!MutantOn(Mutant::kM3)) parent_.Mark(*vma);
      if (!vma->Has(kDontCopy)) MM_TRY(CopyVma(*vma, gather));
    }
    return {};
  }

  Result<void> CopyVma(Vma& vma, TlbGather& gather) {
    if (vma.Has(kAccount) && !parent_.MayCommit(vma.pages())) return Errno::kEnomem;
    VmaEditor child(child_);
    const VmaFlags flags = vma.flags() & ~kLockedMask;
    MM_ASSIGN_OR_RETURN(Vma* const copy, child.Insert({.range = vma.range(),
                                                       .flags = flags,
                                                       .mapping = vma.mapping(),
                                                       .open_file = vma.open_file(),
                                                       .pgoff = vma.pgoff()}));
    child_.Account(flags, static_cast<int64_t>(vma.pages()));
    if (vma.anon_vma() != nullptr && !vma.Has(kWipeOnFork)) {
      MM_TRY(parent_.services().anon_vmas.Fork(*copy, vma));
    }
    if (!NeedsCopy(vma)) return {};
    return CopyRange(child_.tables(), parent_.tables(), gather, vma.range(), vma.Has(kShared));
  }

  MmWriter& parent_;
  MmWriter& child_;
};

}  // namespace

Result<Mm*> Mm::Fork() {
  const ActivityScope activity(Activity::kFork);
  MmWriter parent(*this);
  if (!parent.held()) return Errno::kEintr;
  MM_ASSIGN_OR_RETURN(Mm* const child, Create(services_, options_));
  Result<void> copied;
  {
    MmWriter child_writer(*child, LockSubclass::kNested);
    if (child_writer.held()) {
      child_writer.brk() = brk_;
      copied = Forker(parent, child_writer).CopyAll();
    } else {
      copied = Errno::kEintr;
    }
  }
  if (!copied.ok()) {
    parent.Release();
    child->DropUser();
    return copied.error();
  }
  return child;
}

}  // namespace faultline
