// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a VMA's life in its mm: Init and Attach, Detach and the way back to the slab. See
// vma.h.
//
// Attachment and detachment count in the sequence, so that a reader who copied the fields of a slot
// before it was given to another mapping notices, even if the new one has the same addresses (B15,
// B21).
#include "core/vma/vma.h"

#include <memory>
#include <new>

#include "core/base/check.h"
#include "core/vma/vma_refcnt.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool Vma::is_detached() const { return VmaRefcnt::IsDetached(refcnt_.Load(kAcquire)); }

void Vma::Init(VmaOwner& owner, VirtRange range, VmaFlags flags, Mapping* mapping,
               PageIndex pgoff) {
  // The slot may have been poisoned while it was free.
  ListNode<InMapping>::Reinitialize();
  ListNode<OnRemoval>::Reinitialize();
  new (&list_.chained) Chained;
  std::construct_at(&rwsem_);
  next_marked_ = nullptr;
  // Whoever still copies the slot as what it was, and sees a field of what it becomes, sees the
  // sequence of its detachment, too. Pairs with the fence of a reader's second look.
  SeqCount::WriteFence();
  SetRange(range, pgoff);
  SetFlags(flags);
  SetMapping(mapping);
  SetAnonVma(nullptr);
  // No section is called so, for they are odd; at worst it is the mm's sequence between two of
  // them, and a reader goes elsewhere (B21). Relaxed: who finds the slot detached looks no further.
  lock_sequence_.Store(UINT64_MAX - 1, kRelaxed);
  owner_.Store(&owner, kRelaxed);  // relaxed: Attach comes before anybody may count
}

void Vma::Attach() {
  MM_DCHECK(is_detached());
  BumpSequence(2);
  VmaRefcnt::Attach(*this);
}

void Vma::Detach() {
  VmaRefcnt::Detach(*this);
  BumpSequence(2);
}

void Vma::BumpSequence(uint64_t by) {
  // Relaxed: only the one writer changes it.
  sequence_.Store(sequence_.Load(kRelaxed) + by, kRelease);  // pairs with sequence()
  // What is changed next stays behind the new count, as in SeqCount::WriteBegin.
  SeqCount::WriteFence();
}

void Vma::FreeAfterGracePeriod(VmaSlab& slab) {
  MM_DCHECK(list_.chained.chains.empty());
  std::destroy_at(&list_.chained);
  auto* retired = new (&list_.retired) Retired;
  retired->slab = &slab;
  Rcu::Retire(*retired, &AfterGracePeriod);
}

void Vma::AfterGracePeriod(RcuHead* head) {
  VmaSlab& slab = *static_cast<Retired*>(head)->slab;
  // The list lies in the VMA's first 64 bytes, and a VMA begins at a multiple of 64.
  auto* vma = reinterpret_cast<Vma*>(reinterpret_cast<uintptr_t>(head) & ~uintptr_t{63});
  MM_DCHECK(head == &vma->list_.retired);
  slab.Free(vma);
}

}  // namespace faultline
