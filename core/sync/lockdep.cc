// SPDX-License-Identifier: Apache-2.0
//
// Implementation of lockdep.h. The order is fixed by rank, so a check needs only the held chain of
// the acquiring task. The history of orders seen so far serves the reader of a report: it shows the
// chain that took the same two ranks the right way round.
#include "core/sync/lockdep.h"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>

#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "core/sync/rcu.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

std::atomic<LockdepHandler> g_handler{nullptr};

/// The chains seen, one per ordered pair of ranks, kept from the first time the pair was seen.
class History {
 public:
  [[nodiscard]] bool Has(LockRank outer, LockRank inner) const {
    return seen_[Index(outer, inner)].load(kRelaxed);  // relaxed: only saves taking the mutex
  }
  void Add(LockRank outer, LockRank inner, std::string chain) {
    const std::lock_guard guard(mutex_);
    chains_[Index(outer, inner)] = std::move(chain);
    seen_[Index(outer, inner)].store(true, kRelaxed);
  }
  [[nodiscard]] std::string Chain(LockRank outer, LockRank inner) {
    const std::lock_guard guard(mutex_);
    return chains_[Index(outer, inner)];
  }
  void Reset() {
    const std::lock_guard guard(mutex_);
    for (std::atomic<bool>& seen : seen_) seen.store(false, kRelaxed);
    for (std::string& chain : chains_) chain.clear();
  }

 private:
  static size_t Index(LockRank outer, LockRank inner) {
    return static_cast<size_t>(outer) * kLockRanks + static_cast<size_t>(inner);
  }
  std::mutex mutex_;
  std::array<std::atomic<bool>, size_t{kLockRanks} * kLockRanks> seen_{};
  std::array<std::string, size_t{kLockRanks} * kLockRanks> chains_;
};

History& TheHistory() {
  static History& history = *new History;  // leaked: tasks may outlive static destruction
  return history;
}

std::string Describe(SourceLoc where) {
  if (where.line() == 0) return "";
  return absl::StrFormat("  at %s:%u", where.file(), where.line());
}

std::string Describe(LockId lock, LockMode mode, LockSubclass subclass, SourceLoc where) {
  return absl::StrFormat("%s (%s%s) %p%s", Name(lock.rank),
                         mode == LockMode::kShared ? "shared" : "exclusive",
                         subclass == LockSubclass::kNormal
                             ? std::string()
                             : absl::StrFormat(", subclass %d", static_cast<int>(subclass)),
                         lock.address, Describe(where));
}

std::string DescribeChain(const Task& task) {
  std::string text;
  int i = 0;
  for (const HeldLock& held : task.held) {
    text += absl::StrFormat("    #%d %s%s\n", i++,
                            Describe(held.lock, held.mode, held.subclass, held.where),
                            held.acquisition == Acquisition::kTry ? "  (by try)" : "");
  }
  return text.empty() ? "    (no lock held)\n" : text;
}

void Report(LockdepProblem problem, const std::string& text) {
  const LockdepHandler handler = g_handler.load(kAcquire);  // pairs with SetLockdepHandler
  if (handler != nullptr) {
    handler(problem, text);
  } else {
    detail::DefaultLockdepReport(problem, text);
  }
}

std::string Heading(const Task& task, const std::string& what) {
  return absl::StrFormat("lockdep: %s\n  task %u (%s) holds\n%s", what, task.id(), task.name(),
                         DescribeChain(task));
}

/// Whether a lock of `rank` and `subclass` may be taken while `held` is held.
bool OrderAllows(const Task& task, const HeldLock& held, LockRank rank, LockSubclass subclass) {
  if (held.lock.rank != rank) return held.lock.rank < rank;
  switch (Info(rank).same_rank) {
    case SameRank::kForbidden:
      return false;
    case SameRank::kBySubclass:
      return subclass > held.subclass;
    case SameRank::kUnderOuter:
      for (const HeldLock& outer : task.held) {
        if (static_cast<int>(outer.lock.rank) + 1 == static_cast<int>(rank) &&
            outer.mode == LockMode::kExclusive) {
          return true;
        }
      }
      return false;
  }
  MM_UNREACHABLE("unknown SameRank");
}

void ReportOrder(Task& task, const HeldLock& held, const std::string& wanted, LockRank rank) {
  std::string text = Heading(task, "wrong lock order");
  text += absl::StrFormat("  and wants\n    %s\n", wanted);
  if (held.lock.rank == rank) {
    text += absl::StrFormat("  two %s locks nest only %s\n", Name(rank),
                            Info(rank).same_rank == SameRank::kBySubclass
                                ? "with a greater subclass inside"
                            : Info(rank).same_rank == SameRank::kUnderOuter
                                ? "under an exclusive lock of the rank outside"
                                : "never");
  } else {
    text += absl::StrFormat("  but %s comes before %s in core/LOCKING.md\n", Name(rank),
                            Name(held.lock.rank));
  }
  if (TheHistory().Has(rank, held.lock.rank)) {
    text += absl::StrFormat("  the order %s, %s was seen in this chain:\n%s", Name(rank),
                            Name(held.lock.rank), TheHistory().Chain(rank, held.lock.rank));
  }
  Report(LockdepProblem::kOrder, text);
}

/// What, if anything, forbids sleeping here; empty if nothing does.
std::string AtomicContext(const Task& task) {
  if (Rcu::InSection()) return "inside an RCU read section";
  if (task.preempt_off != 0) return "with preemption off";
  for (const HeldLock& held : task.held) {
    if (Info(held.lock.rank).kind == LockKind::kSpinning) {
      return absl::StrFormat("under spinlock %s", Name(held.lock.rank));
    }
  }
  return "";
}

}  // namespace

LockdepHandler SetLockdepHandler(LockdepHandler handler) {
  return g_handler.exchange(handler, kAcqRel);  // pairs with Report
}

void ResetLockdepHistory() { TheHistory().Reset(); }

void MaySleep(const char* what, SourceLoc where) {
  Task& task = CurrentTask();
  if ((task.hooks() & kHookLockdep) == 0) [[likely]] {
    return;
  }
  task.DropStaleHolds();
  const std::string context = AtomicContext(task);
  if (context.empty()) return;
  Report(LockdepProblem::kContext,
         Heading(task, absl::StrFormat("%s may sleep %s%s", what, context, Describe(where))));
}

namespace lockdep {

void CheckAcquire(Task& task, LockId lock, LockMode mode, LockSubclass subclass, SourceLoc where) {
  const auto wanted = [&] { return Describe(lock, mode, subclass, where); };
  if (task.held.Find(lock.address) != nullptr) {
    Report(LockdepProblem::kRecursion,
           Heading(task, "lock taken again by its holder") + "  and wants\n    " + wanted() + "\n");
    return;
  }
  if (Info(lock.rank).kind == LockKind::kSleeping) {
    const std::string context = AtomicContext(task);
    if (!context.empty()) {
      Report(LockdepProblem::kContext,
             Heading(task, absl::StrFormat("taking %s may sleep %s", wanted(), context)));
      return;
    }
  }
  for (const HeldLock& held : task.held) {
    if (!OrderAllows(task, held, lock.rank, subclass)) {
      ReportOrder(task, held, wanted(), lock.rank);
      return;
    }
  }
}

void NoteAcquired(Task& task, LockId lock, SourceLoc where) {
  for (const HeldLock& held : task.held) {
    if (held.lock.rank == lock.rank || TheHistory().Has(held.lock.rank, lock.rank)) continue;
    TheHistory().Add(held.lock.rank, lock.rank,
                     absl::StrFormat("%s    then %s%s\n", DescribeChain(task), Name(lock.rank),
                                     Describe(where)));
  }
}

void CheckRelease(Task& task, LockId lock, LockMode mode, const HeldLock* held, SourceLoc where) {
  if (held != nullptr && held->mode == mode) return;
  const std::string what = Describe(lock, mode, LockSubclass::kNormal, where);
  Report(LockdepProblem::kMisuse,
         Heading(task, held == nullptr
                           ? absl::StrFormat("release of %s, which the task does not hold", what)
                           : absl::StrFormat("release of %s, held in the other mode", what)));
}

void CheckDowngrade(Task& task, LockId lock, const HeldLock* held, SourceLoc where) {
  if (held != nullptr && held->mode == LockMode::kExclusive) return;
  Report(LockdepProblem::kMisuse,
         Heading(task, absl::StrFormat(
                           "downgrade of %s, which the task does not hold exclusively",
                           Describe(lock, LockMode::kExclusive, LockSubclass::kNormal, where))));
}

}  // namespace lockdep

HeldLock* HeldLocks::Find(const void* lock) {
  for (size_t i = size_; i-- > 0;) {
    if (locks_[i].lock.address == lock) return &locks_[i];
  }
  return nullptr;
}

bool HeldLocks::Push(const HeldLock& held) {
  if (size_ == kMax) return false;
  locks_[size_++] = held;
  return true;
}

void HeldLocks::Remove(HeldLock* held) {
  for (HeldLock* last = locks_.data() + size_ - 1; held != last; ++held) *held = held[1];
  --size_;
}

}  // namespace faultline
