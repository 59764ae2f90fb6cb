// SPDX-License-Identifier: Apache-2.0
//
// Which anon_vma a VMA gets with its first anonymous page (Linux: __vmf_anon_prepare,
// find_mergeable_anon_vma, reusable_anon_vma in mm/vma.c; B5, B28). A neighbour with which the VMA
// could be merged lends its own, so that a later merge has but one to keep; the next VMA is asked
// before the previous one, and one that was forked is not asked.
//
// Protocol: neighbours are inspected under anon_vma_lock, since another fault that holds mmap_lock
// for read, too, may be giving one of them its anon_vma. What was found stays: a VMA loses its
// anon_vma only under mmap_lock held for write.
#include "core/base/check.h"
#include "core/fault/fault.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

AnonVma* FindMergeable(FaultTarget& target, const Vma& vma);

}  // namespace

Result<void> PrepareAnonVma(FaultTarget& target, Vma& vma) {
  MM_DCHECK(!vma.is_detached());
  if (vma.anon_vma() != nullptr) return {};
  return target.anon_vmas.Prepare(vma, FindMergeable(target, vma), target.anon_vma_lock);
}

namespace {

/// Whether the two could be one if their access rights were equal (Linux: anon_vma_compatible).
/// `before` ends where `behind` starts.
bool Compatible(const Vma& before, const Vma& behind) {
  return before.mapping() == behind.mapping() &&
         ((before.flags() ^ behind.flags()) & ~(vma_flag::kAccess | vma_flag::kSticky)) == 0 &&
         behind.pgoff() == before.pgoff() + before.pages();
}

/// The anon_vma of a compatible neighbour that was not forked, or null.
AnonVma* Lendable(Vma& neighbour) {
  AnonVma* anon_vma = neighbour.anon_vma();
  if (anon_vma == nullptr || AnonVmas::IsForkChild(neighbour)) return nullptr;
  return anon_vma;
}

AnonVma* FindMergeable(FaultTarget& target, const Vma& vma) {
  const LockGuard inspecting(target.anon_vma_lock);
  const RcuGuard reading;  // the tree's nodes; the VMAs are the caller's lock's affair
  auto* next = static_cast<Vma*>(target.tree.Find(vma.end().value()));
  if (next != nullptr && Compatible(vma, *next)) {
    if (AnonVma* anon_vma = Lendable(*next)) return anon_vma;
  }
  if (vma.start().value() == 0) return nullptr;
  auto* previous = static_cast<Vma*>(target.tree.Find(vma.start().value() - 1));
  if (previous == nullptr || !Compatible(*previous, vma)) return nullptr;
  return Lendable(*previous);
}

}  // namespace
}  // namespace faultline
