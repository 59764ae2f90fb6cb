// SPDX-License-Identifier: Apache-2.0
//
// Scheme vma_rwsem; see vma_rwsem.h.
#include "core/fault/schemes/vma_rwsem.h"

#include "core/fault/ladder.h"
#include "core/fault/schemes/mmap_lock.h"
#include "core/fault/schemes/vma_hold.h"
#include "core/vma/vma_rwsem.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool VmaRwsemScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  uint32_t misses = 0;
  const HeldVma held =
      VmaRwsem::Lock(target.tree, target.mm, request.addr, RwsemForm::kHeldBySection, misses);
  return TakeOver(target, hold, held, misses);
}

void VmaRwsemScheme::End(FaultTarget& /*target*/, Hold& hold) { VmaRwsem::Unlock(*hold.vma); }

bool MmapThenVmaRwsem::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  MmapLockScheme::Hold mmap_hold;
  if (!MmapLockScheme::Begin(target, request, mmap_hold)) {
    hold.refusal = mmap_hold.refusal;
    return false;
  }
  hold.vma = mmap_hold.vma;
  hold.view = mmap_hold.view;
  VmaRwsem::LockUnderMmapLock(*hold.vma);
  return true;
}

void MmapThenVmaRwsem::End(FaultTarget& target, Hold& hold) {
  VmaRwsem::Unlock(*hold.vma);
  MmapLockScheme::Hold mmap_hold;
  MmapLockScheme::End(target, mmap_hold);
}

template FaultOutcome Fault<VmaRwsemScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<VmaRwsemScheme> && FaultScheme<MmapThenVmaRwsem>);

}  // namespace faultline
