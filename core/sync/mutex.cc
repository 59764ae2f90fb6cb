// SPDX-License-Identifier: Apache-2.0
//
// The slow paths of Mutex; the protocol is described in mutex.h. Everything here that looks at
// the queue or writes kWaiters holds queue_.lock; the owner bits may still change under it, by a
// fast-path release of an owner that saw no waiters (which a compare-and-swap notices).
#include "core/sync/mutex.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool RawMutex::LockSlow(Task& self, LockId id, Killable killable, SourceLoc where) {
  if (killable == Killable::kYes && self.no_wait != 0) return false;
  LockWait wait(self, id, LockMode::kExclusive, owner());
  if (SpinForIt(self.id(), where)) return true;
  LockWaiter waiter(self, LockMode::kExclusive);
  queue_.lock.Lock(self, where);
  if (TakeLocked(self.id(), where)) {
    queue_.lock.Unlock(where);
    return true;
  }
  queue_.waiters.push_back(waiter);
  queue_.lock.Unlock(where);
  if (Wait(self, waiter, killable, where)) return true;
  wait.MarkKilled();
  return false;
}

/// Spins for a while in the hope of being the next owner, ahead of those who sleep.
bool RawMutex::SpinForIt(uint32_t id, SourceLoc where) {
  uint32_t seen = 0;
  const auto is_free = [&] {
    seen = word_.Load(kRelaxed, where);
    return (seen & ~kWaiters) == 0;
  };
  for (int lost = 0; lost < kMaxLostRaces; ++lost) {
    if (!SpinUntil(is_free, kSpin, where)) return false;
    // Acquire pairs with the release that freed the word.
    if (word_.CompareExchange(seen, seen | id, kAcquire, kRelaxed, where)) return true;
  }
  return false;
}

/// Takes the mutex if it is free, keeping the waiters' bit. If not, leaves that bit set, so that
/// the owner's release comes through UnlockSlow.
bool RawMutex::TakeLocked(uint32_t id, SourceLoc where) {
  uint32_t seen = word_.Load(kRelaxed, where);
  while (true) {
    const bool is_free = (seen & ~kWaiters) == 0;
    const uint32_t wanted = is_free ? (seen | id) : (seen | kWaiters);
    // Acquire pairs with the release that freed the word.
    if (word_.CompareExchange(seen, wanted, kAcquire, kRelaxed, where)) return is_free;
  }
}

bool RawMutex::Wait(Task& self, LockWaiter& waiter, Killable killable, SourceLoc where) {
  while (!waiter.IsGranted(where)) {
    if (killable == Killable::kYes && self.killed(where)) return Withdraw(self, waiter, where);
    Task::Park(where);
    if (waiter.IsGranted(where)) break;
    queue_.lock.Lock(self, where);
    const bool taken = !waiter.IsGranted(where) && TakeLocked(self.id(), where);
    if (taken) DequeueLocked(waiter, where);
    queue_.lock.Unlock(where);
    if (taken) return true;
  }
  return true;
}

/// Takes a killed waiter off the queue; true if it owns the mutex after all. If it was the one that
/// the last release woke, the next in line is woken in its place.
bool RawMutex::Withdraw(Task& self, LockWaiter& waiter, SourceLoc where) {
  queue_.lock.Lock(self, where);
  const bool granted = waiter.IsGranted(where);
  if (!granted) {
    const bool was_first = queue_.waiters.front() == &waiter;
    DequeueLocked(waiter, where);
    LockWaiter* next = queue_.waiters.front();
    if (was_first && next != nullptr) next->task.Unpark(where);
  }
  queue_.lock.Unlock(where);
  return granted;
}

void RawMutex::UnlockSlow(Task& self, SourceLoc where) {
  queue_.lock.Lock(self, where);
  LockWaiter* first = queue_.waiters.front();
  if (first == nullptr) {
    word_.Store(0, kRelease, where);  // the waiter was killed meanwhile; pairs with TryLock
  } else if (first->woken) {
    // It lost to a newcomer once: hand over. Not DequeueLocked, which would race with the store.
    queue_.waiters.erase(*first);
    const uint32_t mark = queue_.waiters.empty() ? 0 : kWaiters;
    word_.Store(first->task.id() | mark, kRelease, where);  // pairs with IsGranted via Grant
    first->Grant(where);
  } else {
    first->woken = true;
    word_.Store(kWaiters, kRelease, where);  // pairs with TakeLocked
    first->task.Unpark(where);
  }
  queue_.lock.Unlock(where);
}

void RawMutex::DequeueLocked(LockWaiter& waiter, SourceLoc where) {
  queue_.waiters.erase(waiter);
  if (queue_.waiters.empty()) word_.FetchAnd(~kWaiters, kRelaxed, where);  // order: queue_.lock
}

}  // namespace faultline
