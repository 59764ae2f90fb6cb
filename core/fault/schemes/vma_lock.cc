// SPDX-License-Identifier: Apache-2.0
//
// Scheme vma_lock; see vma_lock.h.
#include "core/fault/schemes/vma_lock.h"

#include "core/fault/ladder.h"
#include "core/fault/schemes/vma_hold.h"
#include "core/vma/vma_rwsem.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool VmaLockScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  uint32_t misses = 0;
  const HeldVma held =
      VmaRwsem::Lock(target.tree, target.mm, request.addr, RwsemForm::kWithSequence, misses);
  return TakeOver(target, hold, held, misses);
}

void VmaLockScheme::End(FaultTarget& /*target*/, Hold& hold) { VmaRwsem::Unlock(*hold.vma); }

template FaultOutcome Fault<VmaLockScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<VmaLockScheme>);

}  // namespace faultline
