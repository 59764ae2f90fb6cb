// SPDX-License-Identifier: Apache-2.0
//
// lockdep: checks at run time that locks are taken in rank order, in a legal mode and in a legal
// context (Linux: kernel/locking/lockdep.c, might_sleep()). It needs no deadlock to happen: the
// first acquisition in a wrong order is reported, with the chain of locks that the task holds and,
// where one was seen, the chain that took the two ranks the other way round.
//
// What is reported, each with the task, the lock and the held chain:
//   order     blocking acquisition of a rank that is not strictly inside every held rank
//   recursion a lock taken again by its holder (a fair rwsem deadlocks on recursive reads, B6)
//   misuse    release of a lock that is not held, or in another mode; downgrade of a shared hold
//   context   something that may sleep inside an RCU section (B12), under a spinlock or with
//             preemption off
// Guarantee: no report on code that takes locks in rank order (B1).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/lock_hooks.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Task;

enum class LockdepProblem : uint8_t { kOrder, kRecursion, kMisuse, kContext };

/// Receives a report; `text` is complete and ends with a newline. The default handler of the native
/// build prints it to stderr and aborts; the modelled build ends the schedule. A handler that
/// returns lets the task go on (tests do that).
using LockdepHandler = void (*)(LockdepProblem problem, std::string_view text);

/// Installs `handler` for the whole process and returns the previous one; null restores the
/// default. Not synchronised: call it before other tasks run.
LockdepHandler SetLockdepHandler(LockdepHandler handler);

/// Forgets which lock orders were seen so far (tests; between runs).
void ResetLockdepHistory();

/// Says that the caller may sleep here; reports if its context forbids it. `what` names the
/// operation in the report. Costs one branch while lockdep is off.
void MaySleep(const char* what, SourceLoc where = SourceLoc::Current());

/// A lock that a task holds.
struct HeldLock {
  LockId lock{};
  LockMode mode{};
  LockSubclass subclass{};
  Acquisition acquisition{};
  uint16_t activity = 0;  ///< what the task was doing at acquisition, with kHookHolds
  SourceLoc where;
  uint64_t since = 0;       ///< ticks at acquisition, with kHookHolds
  uint64_t mode_since = 0;  ///< ticks at acquisition or downgrade, whichever was last; likewise
};

/// The locks that one task holds, oldest first. Owned by the task and touched by it alone.
class HeldLocks {
 public:
  static constexpr size_t kMax = 24;

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] const HeldLock& operator[](size_t i) const { return locks_[i]; }
  [[nodiscard]] const HeldLock* begin() const { return locks_.data(); }
  [[nodiscard]] const HeldLock* end() const { return locks_.data() + size_; }
  /// The hold of that lock, or null.
  [[nodiscard]] HeldLock* Find(const void* lock);
  /// Returns false, and records nothing, if kMax locks are held already.
  bool Push(const HeldLock& held);
  void Remove(HeldLock* held);
  void Clear() { size_ = 0; }

 private:
  std::array<HeldLock, kMax> locks_{};
  size_t size_ = 0;
};

namespace detail {
/// What happens to a report while no handler is installed; the flavour decides.
void DefaultLockdepReport(LockdepProblem problem, std::string_view text);
}  // namespace detail

namespace lockdep {
// What the hooks call when kHookLockdep is set; see lock_hooks.h for when.
void CheckAcquire(Task& task, LockId lock, LockMode mode, LockSubclass subclass, SourceLoc where);
void CheckRelease(Task& task, LockId lock, LockMode mode, const HeldLock* held, SourceLoc where);
void CheckDowngrade(Task& task, LockId lock, const HeldLock* held, SourceLoc where);
void NoteAcquired(Task& task, LockId lock, SourceLoc where);
}  // namespace lockdep

}  // namespace faultline
