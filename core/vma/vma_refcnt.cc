// SPDX-License-Identifier: Apache-2.0
//
// The two sides of vma_refcnt.h. Numbers in brackets are the steps of B16.
//
// Who wakes whom: a writer sleeps on its mm's queue until the count is what it left; the reader
// whose drop makes it so wakes the queue. By then the VMA may be gone, and so may an mm that the
// reader does not use (B22): one found through a recycled slot is pinned before the drop (M4).
#include "core/vma/vma_refcnt.h"

#include "core/base/check.h"
#include "core/base/mutant.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// The lock as hooks see it.
LockId IdOf(const Vma& vma) { return {&vma, LockRank::kVmaLock}; }

bool TracksHolds(const Task& task) { return (task.hooks() & kHooksThatTrack) != 0; }

bool IsWriteLocked(uint64_t lock_sequence, const VmaOwner& mm) {
  return lock_sequence == mm.sequence().value();
}

}  // namespace

// -- Readers --------------------------------------------------------------------------------------

HeldVma VmaRefcnt::Lock(const MapleTree& tree, VmaOwner& mm, VirtAddr addr, uint32_t& misses) {
  const RcuGuard section;
  StableRef<Vma> ref;
  while (true) {
    if (!ref || !MutantOn(Mutant::kM23)) {
      ref = StableRef<Vma>(static_cast<Vma*>(tree.Find(addr.value())));
    }
    if (!ref) return {nullptr, LeaveReason::kNoVma};
    if (MutantOn(Mutant::kM5) && (ref->start() > addr || addr >= ref->end())) {
      return {nullptr, LeaveReason::kRangeMoved};
    }
    const LeaveReason reason = TryLock(ref, mm);
    if (reason == LeaveReason::kNone) break;
    if (reason != LeaveReason::kDetached) return {nullptr, reason};
    ++misses;
    if (MutantOn(Mutant::kM6)) return {nullptr, LeaveReason::kDetached};
  }
  Vma& vma = *ref.get();
  // [5] Only now: it may have been split, moved or recycled until the count was taken.
  if (!MutantOn(Mutant::kM5) && !vma.range().Contains(addr)) {
    Unlock(vma, mm);
    return {nullptr, LeaveReason::kRangeMoved};
  }
  return {&vma, LeaveReason::kNone};
}

LeaveReason VmaRefcnt::TryLock(StableRef<Vma>& ref, VmaOwner& mm) {
  // [1] Spares the count where it would be in vain.
  if (IsWriteLocked(ref->lock_sequence(), mm)) return LeaveReason::kWriteLocked;
  // [2]
  if (const LeaveReason reason = TryCount(ref); reason != LeaveReason::kNone) return reason;
  ref.Adopt();
  Vma& vma = *ref.get();
  // [3] A recycled slot. Its mm may be about to go, and waits for our count at the latest then.
  VmaOwner* const owner = vma.owner();
  if (owner != &mm) {
    if (!MutantOn(Mutant::kM4)) owner->Get();
    DropCount(vma, *owner);
    if (!MutantOn(Mutant::kM4)) owner->Put();
    return LeaveReason::kOtherMm;
  }
  // [4] Sees the mark of every writer that has not waited for this count.
  if (IsWriteLocked(vma.lock_sequence(), mm)) {
    DropCount(vma, mm);
    return LeaveReason::kWriteLocked;
  }
  Task& self = CurrentTask();
  if (TracksHolds(self)) [[unlikely]] {
    HookAcquired(self, IdOf(vma), LockMode::kShared, LockSubclass::kNormal, Acquisition::kTry,
                 SourceLoc::Current());
  }
  return LeaveReason::kNone;
}

void VmaRefcnt::Unlock(Vma& vma, VmaOwner& mm) {
  Task& self = CurrentTask();
  if (TracksHolds(self)) [[unlikely]] {
    HookReleased(self, IdOf(vma), LockMode::kShared, SourceLoc::Current());
  }
  DropCount(vma, mm);
}

/// Increments the count unless it is 0 or too high (Linux:
/// __refcount_inc_not_zero_limited_acquire).
LeaveReason VmaRefcnt::TryCount(StableRef<Vma>& ref) {
  uint32_t count = ref->refcnt_.Load(kRelaxed);  // relaxed: the exchange checks it
  do {
    if (count == 0) return LeaveReason::kDetached;
    if (count >= kLimit) return LeaveReason::kWriteLocked;
    // Acquire: what Attach and earlier writers stored is seen by who counts.
  } while (!ref->refcnt_.CompareExchange(count, count + 1, kAcquire, kRelaxed));
  return LeaveReason::kNone;
}

/// `mm` is the VMA's and stays; the VMA may be recycled from the drop on.
void VmaRefcnt::DropCount(Vma& vma, VmaOwner& mm) {
  // Release: our use of the VMA comes before the writer's. Pairs with WaitForReaders.
  const uint32_t left = vma.refcnt_.FetchSub(1, kRelease) - 1;
  if ((left & kWriter) != 0 && (left & ~kWriter) <= kAttached) [[unlikely]] {
    mm.vma_writers().WakeAll();
  }
}

// -- Writers: mmap_lock of the VMA's mm is held for write -----------------------------------------

void VmaRefcnt::Attach(Vma& vma) {
  // Release: a reader that counts sees the VMA as it is now. Pairs with TryCount.
  vma.refcnt_.Store(kAttached, kRelease);
}

void VmaRefcnt::Detach(Vma& vma) {
  MM_DCHECK(!vma.is_detached());
  // Acquire, release: as in Enter and Leave.
  if (vma.refcnt_.FetchSub(kAttached, kAcqRel) == kAttached) [[likely]] {
    return;
  }
  // Readers that found it before, and have not looked at the mark yet.
  vma.refcnt_.FetchAdd(kWriter, kRelaxed);  // relaxed: the wait acquires
  WaitForReaders(vma, *vma.owner(), kWriter);
  vma.refcnt_.FetchSub(kWriter, kRelease);
}

void VmaRefcnt::Enter(Vma& vma, VmaOwner& mm) {
  // Acquire: pairs with DropCount of readers that have left already.
  const uint32_t before = vma.refcnt_.FetchAdd(kWriter, kAcquire);
  MM_DCHECK((before & kWriter) == 0);
  if (before != kAttached) [[unlikely]] {
    WaitForReaders(vma, mm, kWriter + kAttached);
  }
}

void VmaRefcnt::Leave(Vma& vma) {
  // Release: readers that count from here on see the lock sequence. Pairs with TryCount.
  vma.refcnt_.FetchSub(kWriter, kRelease);
}

/// Until the count is `rest`.
void VmaRefcnt::WaitForReaders(Vma& vma, VmaOwner& mm, uint32_t rest) {
  Task& self = CurrentTask();
  const SourceLoc here = SourceLoc::Current();
  if (TracksHolds(self)) [[unlikely]] {
    HookWillAcquire(self, IdOf(vma), LockMode::kExclusive, LockSubclass::kNormal, here);
  }
  const LockWait wait(self, IdOf(vma), LockMode::kExclusive, 0);
  // Acquire: pairs with DropCount.
  mm.vma_writers().Wait([&] { return vma.refcnt_.Load(kAcquire) == rest; });
}

}  // namespace faultline
