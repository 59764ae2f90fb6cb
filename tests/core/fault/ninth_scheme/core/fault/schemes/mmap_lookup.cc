// SPDX-License-Identifier: Apache-2.0
//
// Scheme mmap_lookup; see mmap_lookup.h. Order: mmap_lock, then the count, which is a try but
// cannot fail here for a VMA that was found: writers mark and detach under mmap_lock held for
// write, and what the tree has under the lock is attached. mmap_lock is released first, the count
// at the end; in between it may only be tried (B4).
#include "core/fault/schemes/mmap_lookup.h"

#include "core/fault/ladder.h"
#include "core/vma/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool MmapLookupScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  if (!target.mmap_lock.LockSharedKillable()) {
    hold.refusal = fault_bit::kKilled;
    return false;
  }
  uint32_t misses = 0;  // stays 0: nobody detaches meanwhile
  const HeldVma held = VmaRefcnt::Lock(target.tree, target.mm, request.addr, misses);
  target.mmap_lock.UnlockShared();
  hold.vma = held.vma;
  hold.reason = held.reason;
  if (held.vma == nullptr) return false;
  hold.view.CopyFrom(held.vma);
  return true;
}

void MmapLookupScheme::End(FaultTarget& target, Hold& hold) {
  VmaRefcnt::Unlock(*hold.vma, target.mm);
}

template FaultOutcome Fault<MmapLookupScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<MmapLookupScheme>);

}  // namespace faultline
