// SPDX-License-Identifier: Apache-2.0
//
// The slow paths of RwSem: queueing, waiting, passing on, downgrading. The protocol is described in
// rw_sem.h. Under queue_.lock, and with kWaiters set, the writer bit can only be set by this file:
// a writer's fast path needs the whole word to be 0. Readers' announcements may come and go at any
// time; each announcer that is not admitted ends up under queue_.lock and takes its own back there,
// which is where an announcement that was in somebody's way gets made good (see PassOnLocked).
#include "core/sync/rw_sem.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool RawRwSem::TryRead(SourceLoc where) {
  uint32_t seen = state_.Load(kRelaxed, where);
  // A compare-and-swap, not an announcement: a failed try leaves no trace for others to trip over.
  while (ReadAdmitted(seen)) {
    if (state_.CompareExchange(seen, seen + kReader, kAcquire, kRelaxed, where)) return true;
  }
  return false;
}

bool RawRwSem::ReadSlow(Task& self, LockId id, Killable killable, SourceLoc where) {
  if (killable == Killable::kYes && self.no_wait != 0) return ReadOrWithdraw(self, where);
  LockWait wait(self, id, LockMode::kShared, owner());
  if (SpinForRead(where)) return true;
  LockWaiter waiter(self, LockMode::kShared);
  queue_.lock.Lock(self, where);
  // The announcement of TryReadFast still stands. With the queue locked nobody can start to wait,
  // so if the way is clear now, it is a hold. Acquire: as in TryReadFast.
  if (ReadAdmitted(state_.Load(kAcquire, where))) {
    queue_.lock.Unlock(where);
    return true;
  }
  EnqueueLocked(waiter, -kReader, where);
  queue_.lock.Unlock(where);
  if (Wait(self, waiter, killable, where)) return true;
  wait.MarkKilled();
  return false;
}

bool RawRwSem::WriteSlow(Task& self, LockId id, Killable killable, SourceLoc where) {
  if (killable == Killable::kYes && self.no_wait != 0) return false;
  LockWait wait(self, id, LockMode::kExclusive, owner());
  if (SpinForWrite(where)) return true;
  LockWaiter waiter(self, LockMode::kExclusive);
  queue_.lock.Lock(self, where);
  uint32_t seen = state_.Load(kRelaxed, where);
  // Without hand-off a writer may pass those who wait, if it finds the semaphore free.
  while ((seen & ~kWaiters) == 0 && (seen == 0 || !policy_.handoff)) {
    if (state_.CompareExchange(seen, seen | kWriter, kAcquire, kRelaxed, where)) {
      queue_.lock.Unlock(where);
      return true;
    }
  }
  EnqueueLocked(waiter, 0, where);
  queue_.lock.Unlock(where);
  if (Wait(self, waiter, killable, where)) return true;
  wait.MarkKilled();
  return false;
}

/// For a task that must not wait, with an announcement standing: makes it a hold if the way is
/// clear by now, and takes it back if not.
bool RawRwSem::ReadOrWithdraw(Task& self, SourceLoc where) {
  queue_.lock.Lock(self, where);
  // Acquire: as in TryReadFast.
  const bool admitted = ReadAdmitted(state_.Load(kAcquire, where));
  if (!admitted) {
    // Relaxed: nothing was read or written under it. It may have been in a waiter's way.
    const uint32_t now = state_.FetchSub(kReader, kRelaxed, where) - kReader;
    if (now == kWaiters) PassOnLocked(where);
  }
  queue_.lock.Unlock(where);
  return admitted;
}

// -- Spinning before queueing (Linux: rwsem_optimistic_spin) --------------------------------------
// Only while nobody is queued, so it never passes anyone in a fair semaphore.

/// With an announcement standing: spins until the writer has gone. True if it then is a hold.
bool RawRwSem::SpinForRead(SourceLoc where) {
  uint32_t seen = 0;
  const auto is_decided = [&] {
    seen = state_.Load(kAcquire, where);  // pairs with the writer's release
    return (seen & kWriter) == 0 || (seen & kWaiters) != 0;
  };
  return SpinUntil(is_decided, policy_.spin, where) && ReadAdmitted(seen);
}

bool RawRwSem::SpinForWrite(SourceLoc where) {
  uint32_t seen = 0;
  const auto is_decided = [&] {
    seen = state_.Load(kRelaxed, where);  // relaxed: TryWriteFast acquires
    return seen != kWriter;
  };
  for (int lost = 0; lost < kMaxLostRaces; ++lost) {
    if (!SpinUntil(is_decided, policy_.spin, where) || seen != 0) return false;
    if (TryWriteFast(where)) return true;
  }
  return false;
}

// -- Queueing -------------------------------------------------------------------------------------

/// Queues `waiter` and adds `also_add` to the word in the same step. If that leaves no holder (the
/// last one left before it could see kWaiters), passes on at once, possibly to `waiter` itself.
void RawRwSem::EnqueueLocked(LockWaiter& waiter, uint32_t also_add, SourceLoc where) {
  const uint32_t mark = queue_.waiters.empty() ? kWaiters : 0;
  queue_.waiters.push_back(waiter);
  // Relaxed: what a waiter must see is ordered by its grant.
  const uint32_t now = state_.FetchAdd(mark + also_add, kRelaxed, where) + mark + also_add;
  if (now == kWaiters) PassOnLocked(where);
}

/// Waits until `waiter`, which is queued, is granted. False if the task was killed first.
bool RawRwSem::Wait(Task& self, LockWaiter& waiter, Killable killable, SourceLoc where) {
  const auto is_granted = [&] { return waiter.IsGranted(where); };
  if (SpinUntil(is_granted, policy_.spin, where)) return true;
  while (!waiter.IsGranted(where)) {
    if (killable == Killable::kYes && self.killed(where)) return Withdraw(self, waiter, where);
    Task::Park(where);
    if (policy_.handoff || waiter.mode == LockMode::kShared) continue;
    queue_.lock.Lock(self, where);
    const bool taken = !waiter.IsGranted(where) && TakeAsFirstWriterLocked(waiter, where);
    queue_.lock.Unlock(where);
    if (taken) return true;
  }
  return true;
}

/// Takes a killed waiter off the queue. True if it was granted in the meantime and so holds after
/// all. Its place may have been what held others back, hence the passing on.
bool RawRwSem::Withdraw(Task& self, LockWaiter& waiter, SourceLoc where) {
  queue_.lock.Lock(self, where);
  const bool granted = waiter.IsGranted(where);
  if (!granted) {
    DequeueLocked(waiter);
    if (queue_.waiters.empty()) {
      state_.FetchAnd(~kWaiters, kRelaxed, where);  // relaxed: nothing is handed over
    } else {
      PassOnLocked(where);
    }
  }
  queue_.lock.Unlock(where);
  return granted;
}

void RawRwSem::PassOn(SourceLoc where) {
  queue_.lock.Lock(CurrentTask(), where);
  PassOnLocked(where);
  queue_.lock.Unlock(where);
}

/// Gives the semaphore to whoever is first in the queue, if the word allows it. If it does not,
/// whoever is in the way will come here again: a holder by its release, which sees kWaiters, and an
/// announcer that is not admitted by EnqueueLocked.
void RawRwSem::PassOnLocked(SourceLoc where) {
  LockWaiter* first = queue_.waiters.front();
  if (first == nullptr) return;
  if (first->mode == LockMode::kShared) {
    GrantReadersLocked(where);
    return;
  }
  if (!policy_.handoff && !first->woken) {
    first->woken = true;
    first->task.Unpark(where);
    return;
  }
  if (TakeAsFirstWriterLocked(*first, where)) first->Grant(where);
}

/// Sets the writer bit on behalf of `waiter` and unlinks it, if it is first and nobody holds.
bool RawRwSem::TakeAsFirstWriterLocked(LockWaiter& waiter, SourceLoc where) {
  if (queue_.waiters.front() != &waiter) return false;
  const uint32_t mark = queue_.waiters.next(waiter) != nullptr ? kWaiters : 0;
  uint32_t expected = kWaiters;
  // Acquire on the waiter's behalf, pairs with the last holder's release; Grant hands it over.
  if (!state_.CompareExchange(expected, kWriter | mark, kAcquire, kRelaxed, where)) return false;
  DequeueLocked(waiter);
  return true;
}

/// Admits every queued reader, also those behind a writer: one batch, after which that writer is
/// first (Linux: rwsem_mark_wake). Does nothing while a writer holds.
void RawRwSem::GrantReadersLocked(SourceLoc where) {
  // The writer bit cannot appear while this runs, see the opening comment. Acquire: as in PassOn.
  if ((state_.Load(kAcquire, where) & kWriter) != 0) return;
  IntrusiveList<LockWaiter> batch;
  uint32_t count = 0;
  for (LockWaiter* waiter = queue_.waiters.front(); waiter != nullptr;) {
    LockWaiter* next = queue_.waiters.next(*waiter);
    if (waiter->mode == LockMode::kShared) {
      queue_.waiters.erase(*waiter);
      batch.push_back(*waiter);
      ++count;
    }
    waiter = next;
  }
  const uint32_t unmark = queue_.waiters.empty() ? kWaiters : 0;
  state_.FetchAdd(count * kReader - unmark, kAcquire, where);
  while (LockWaiter* waiter = batch.pop_front()) waiter->Grant(where);
}

void RawRwSem::Downgrade(SourceLoc where) {
  owner_.store(0, kRelaxed);
  uint32_t before;
  if (MutantOn(Mutant::kRwSemDowngradeLetsWriterIn)) {
    // Gives up the write hold before it announces the read hold.
    state_.FetchSub(kWriter, kRelease, where);
    before = state_.FetchAdd(kReader, kAcquire, where);
  } else {
    // Release pairs with the acquire of the readers that are let in.
    before = state_.FetchAdd(kReader - kWriter, kRelease, where);
  }
  if ((before & kWaiters) != 0) PassOn(where);
}

}  // namespace faultline
