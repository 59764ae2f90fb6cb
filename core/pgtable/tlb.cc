// SPDX-License-Identifier: Apache-2.0
//
// Translations of the simulated CPUs and their shootdown (Linux: arch/x86/mm/tlb.c
// flush_tlb_mm_range; the MMU itself).
//
// Why no stale translation survives Flush. The flusher changed the page table before. On a CPU that
// it visits, an Access either ended before, and its lines are dropped, or begins after, and the
// slot's lock shows it the change. A CPU is not visited only if its bit was clear when Flush read
// the mask. Whoever sets the bit later reads, by a read-modify-write, what Flush left there by
// another one: that synchronizes, and shows the change. Whoever finds the bit set reads from that
// setter on and is shown it, too. (A plain load in Flush would need fences on both sides, as
// Linux's switch_mm has them: a store followed by a load of something else, crosswise.)
#include "core/pgtable/tlb.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void TlbSet::Flush(TlbContext& context, VirtRange range) {
  const uint32_t own = OwnCpu();
  // Relaxed: a statistic. Atomic since tasks may share a CPU slot.
  slots_.Of(own).flushes.FetchAdd(1, kRelaxed);
  // Writes nothing new. Release pairs with Access; acquire with the Access that set the last bit.
  const uint64_t cpus = context.cpus.FetchOr(0, kAcqRel);
  for (uint32_t cpu = 0; cpu < slots_.size(); ++cpu) {
    if ((cpus & BitOf(cpu)) == 0) continue;
    Slot& slot = slots_.Of(cpu);
    const LockGuard guard(slot.lock);
    DropLocked(slot, context.tag, range);
    if (cpu != own) ++slot.shootdowns;
  }
}

void TlbSet::DropLocked(Slot& slot, AddressTag tag, VirtRange range) {
  const VirtPage first = PageOf(range.start());
  const VirtPage end = PageOf(range.end());
  if (end - first > kSinglePageCeiling) {
    for (Line& line : slot.lines) {
      if (line.tag == tag) line = Line();
    }
    return;
  }
  for (VirtPage page = first; page < end; ++page) {
    Line& line = LineOf(slot, page);
    if (line.tag == tag && line.page == page) line = Line();
  }
}

TlbSet::Counts TlbSet::counts() const {
  Counts sum;
  for (uint32_t cpu = 0; cpu < slots_.size(); ++cpu) {
    Slot& slot = slots_.Of(cpu);
    const LockGuard guard(slot.lock);
    sum.hits += slot.hits;
    sum.misses += slot.misses;
    sum.shootdowns += slot.shootdowns;
    sum.flushes += slot.flushes.Peek();
  }
  return sum;
}

// A hold from constructor to destructor, of a lock that the type does not show. Covered by
// TlbTest.NoAccessUsesATranslationAfterTheFlush.
TlbSet::Access::Access(TlbSet& tlbs, TlbContext& context) ABSL_NO_THREAD_SAFETY_ANALYSIS
    : slot_(tlbs.slots_.Of(tlbs.OwnCpu())),
      tag_(context.tag) {
  MM_DCHECK_NE(tag_.value(), 0u);
  slot_.lock.Lock();
  const uint64_t bit = BitOf(tlbs.OwnCpu());
  // Acquire pairs with the FetchOr below of whoever set the bit.
  if ((context.cpus.Load(kAcquire) & bit) != 0) return;
  context.cpus.FetchOr(bit, kAcqRel);  // pairs with Flush, see above
}

TlbSet::Access::~Access() ABSL_NO_THREAD_SAFETY_ANALYSIS { slot_.lock.Unlock(); }

Entry TlbSet::Access::Find(VirtPage page) {
  slot_.lock.AssertHeld();
  const Line& line = LineOf(slot_, page);
  const bool hit = line.tag == tag_ && line.page == page;
  ++(hit ? slot_.hits : slot_.misses);
  return hit ? line.entry : Entry();
}

void TlbSet::Access::Insert(VirtPage page, Entry entry) {
  slot_.lock.AssertHeld();
  MM_DCHECK(entry.present());
  LineOf(slot_, page) = {tag_, page, entry};
}

void TlbSet::Access::Forget(VirtPage page) {
  slot_.lock.AssertHeld();
  Line& line = LineOf(slot_, page);
  if (line.tag == tag_ && line.page == page) line = Line();
}

}  // namespace faultline
