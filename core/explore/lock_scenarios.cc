// SPDX-License-Identifier: Apache-2.0
//
// Scenarios of locks that exclude each other's holders: spinlock, mutex, semaphore of readers and
// writers, CPUs, and the order in which locks are taken. Each function is one scenario's body: it
// makes the shared state, spawns the tasks and says what must hold at the end. `speed` is for
// measuring the explorer and finds nothing.
#include "core/explore/exclusion.h"
#include "core/explore/sync_scenarios.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using Outer = Mutex<LockRank::kTestOuter>;
using Middle = Mutex<LockRank::kTestMiddle>;
using Inner = SpinLock<LockRank::kTestInner>;
using Sem = RwSem<LockRank::kTestOuter>;

// -- Locks ----------------------------------------------------------------------------------------

void SpinLockExcludes(Execution& run) {
  struct State {
    Inner lock;
    Exclusion section;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->lock, sizeof(state->lock), "lock");
  for (const char* name : {"first", "second"}) {
    run.Spawn(name, [state] {
      for (int i = 0; i < 2; ++i) {
        const LockGuard guard(state->lock);
        state->section.Write();
      }
    });
  }
  run.AtEnd([state] { MM_CHECK_EQ(state->section.writes(), 4); });
  run.DigestWith([state] { return state->section.writes(); });
}

void MutexExcludes(Execution& run) {
  struct State {
    Outer mutex;
    Exclusion section;
    uint64_t order = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->mutex, sizeof(state->mutex), "mutex");
  uint64_t digit = 0;
  for (const char* name : {"first", "second", "third"}) {
    run.Spawn(name, [state, me = ++digit] {
      const LockGuard guard(state->mutex);
      state->section.Write();
      state->order = state->order * 10 + me;
    });
  }
  run.AtEnd([state] { MM_CHECK_EQ(state->section.writes(), 3); });
  run.DigestWith([state] { return state->order; });
}

void MutexKill(Execution& run) {
  struct State {
    Outer mutex;
    Exclusion section;
    Task* victim = nullptr;
    int got = 0;
    int gave_up = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->mutex, sizeof(state->mutex), "mutex");
  run.Spawn("victim", [state] {
    state->victim = &CurrentTask();
    if (state->mutex.LockKillable()) {
      state->section.Write();
      state->mutex.Unlock();
      ++state->got;
    } else {
      ++state->gave_up;
    }
  });
  run.Spawn("killer", [state] {
    const LockGuard guard(state->mutex);
    state->section.Write();
    state->victim->Kill();
  });
  run.Spawn("third", [state] {
    const LockGuard guard(state->mutex);
    state->section.Write();
  });
  run.AtEnd([state] { MM_CHECK_EQ(state->section.writes(), 2 + state->got); });
  run.DigestWith([state] { return uint64_t(state->got); });
}

struct SemState {
  explicit SemState(const RwSemPolicy& policy = {}) : sem(policy) {}
  Sem sem;
  Exclusion section;
  uint64_t order = 0;
  Task* victim = nullptr;
  int got = 0;

  void ReadOnce() {
    const ReadGuard guard(sem);
    section.Read();
  }
  void WriteOnce(uint64_t me) {
    const WriteGuard guard(sem);
    section.Write();
    order = order * 10 + me;
  }
};

SemState* NewSem(Execution& run, const RwSemPolicy& policy = {}) {
  auto* state = run.New<SemState>(policy);
  run.NameObject(&state->sem, sizeof(state->sem), "sem");
  run.DigestWith([state] { return state->order; });
  return state;
}

void ReadersAndWriter(Execution& run, const RwSemPolicy& policy) {
  SemState* state = NewSem(run, policy);
  run.Spawn("reader", [state] { state->ReadOnce(); });
  run.Spawn("writer", [state] { state->WriteOnce(1); });
  run.Spawn("reader2", [state] { state->ReadOnce(); });
  run.AtEnd([state] { MM_CHECK(!state->sem.IsHeld() && !state->sem.HasWaiters()); });
}

void RwSemReadersAndWriter(Execution& run) { ReadersAndWriter(run, {}); }
void RwSemUnfair(Execution& run) { ReadersAndWriter(run, {.fair = false}); }

void TwoWriters(Execution& run, const RwSemPolicy& policy) {
  SemState* state = NewSem(run, policy);
  run.Spawn("writer", [state] { state->WriteOnce(1); });
  run.Spawn("writer2", [state] { state->WriteOnce(2); });
  run.Spawn("reader", [state] { state->ReadOnce(); });
  run.AtEnd([state] {
    MM_CHECK_EQ(state->section.writes(), 2);
    MM_CHECK(!state->sem.IsHeld() && !state->sem.HasWaiters());
  });
}

void RwSemTwoWriters(Execution& run) { TwoWriters(run, {}); }
void RwSemWithoutHandoff(Execution& run) { TwoWriters(run, {.handoff = false}); }

void RwSemDowngrade(Execution& run) {
  SemState* state = NewSem(run);
  run.Spawn("downgrader", [state]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    state->sem.Lock();
    state->section.Write();
    // Announced before the downgrade, so that a writer who slips in during it is caught.
    state->section.BeginShared();
    state->sem.Downgrade();
    state->section.EndShared();
    state->sem.UnlockShared();
  });
  run.Spawn("writer", [state] { state->WriteOnce(1); });
  run.Spawn("reader", [state] { state->ReadOnce(); });
  run.AtEnd([state] { MM_CHECK_EQ(state->section.writes(), 2); });
}

void RwSemTry(Execution& run) {
  SemState* state = NewSem(run);
  run.Spawn("tries", [state] {
    if (state->sem.TryLockShared()) {
      state->section.Read();
      state->sem.UnlockShared();
      ++state->got;
    }
    if (state->sem.TryLock()) {
      state->section.Write();
      state->sem.Unlock();
      ++state->got;
    }
  });
  run.Spawn("writer", [state] { state->WriteOnce(1); });
  run.Spawn("reader", [state] { state->ReadOnce(); });
  run.DigestWith([state] { return uint64_t(state->got); });
}

void RwSemKill(Execution& run) {
  SemState* state = NewSem(run);
  run.Spawn("victim", [state] {
    state->victim = &CurrentTask();
    if (state->sem.LockKillable()) {
      state->section.Write();
      state->sem.Unlock();
      ++state->got;
    }
  });
  run.Spawn("killer", [state] {
    const ReadGuard guard(state->sem);
    state->section.Read();
    state->victim->Kill();
  });
  run.Spawn("reader", [state] { state->ReadOnce(); });
  run.AtEnd([state] { MM_CHECK(!state->sem.IsHeld() && !state->sem.HasWaiters()); });
  run.DigestWith([state] { return uint64_t(state->got); });
}

/// What may not wait: a reader takes its announcement back, which may be in the writer's way.
void RwSemNoWait(Execution& run) {
  SemState* state = NewSem(run);
  run.Spawn("hasty", [state] {
    ++CurrentTask().no_wait;
    if (state->sem.LockSharedKillable()) {
      state->section.Read();
      state->sem.UnlockShared();
      ++state->got;
    }
    if (state->sem.LockKillable()) {
      state->section.Write();
      state->sem.Unlock();
      ++state->got;
    }
    --CurrentTask().no_wait;
  });
  run.Spawn("writer", [state] { state->WriteOnce(1); });
  run.Spawn("reader", [state] { state->ReadOnce(); });
  run.AtEnd([state] { MM_CHECK(!state->sem.IsHeld() && !state->sem.HasWaiters()); });
  run.DigestWith([state] { return uint64_t(state->got); });
}

// -- Lock order -----------------------------------------------------------------------------------

void TakeInOrder(Execution& run) {
  struct State {
    Outer outer;
    Middle middle;
    Exclusion section;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->outer, sizeof(state->outer), "outer");
  run.NameObject(&state->middle, sizeof(state->middle), "middle");
  run.Spawn("outer_first", [state] {
    const LockGuard outer(state->outer);
    const LockGuard middle(state->middle);
    state->section.Write();
  });
  run.Spawn("other", [state] {
    if (MutantOn(Mutant::kAbbaOrder)) {
      const LockGuard middle(state->middle);
      const LockGuard outer(state->outer);
      state->section.Write();
    } else {
      const LockGuard outer(state->outer);
      const LockGuard middle(state->middle);
      state->section.Write();
    }
  });
  run.AtEnd([state] { MM_CHECK_EQ(state->section.writes(), 2); });
}

void PreemptOffOwnsCpu(Execution& run) {
  struct State {
    CpuSet cpus{1};
    Exclusion section;
  };
  auto* state = run.New<State>();
  for (const char* name : {"first", "second"}) {
    run.Spawn(name, [state] {
      const PreemptOff guard(state->cpus);
      state->section.Write();
    });
  }
  // CpuSet owns memory of the process; the run's own memory is never destroyed.
  run.AtEnd([state] { state->cpus.~CpuSet(); });
}

// -- The explorer's own speed ---------------------------------------------------------------------

/// Two tasks of 30 operations each: 10 spinlock sections with one atomic inside.
void SpeedTwoTasks(Execution& run) {
  struct State {
    Inner lock;
    Atomic<int> value{0};
  };
  auto* state = run.New<State>();
  for (const char* name : {"first", "second"}) {
    run.Spawn(name, [state] {
      for (int i = 0; i < 10; ++i) {
        const LockGuard guard(state->lock);
        state->value.FetchAdd(1, kRelaxed);
      }
    });
  }
  run.AtEnd([state] { MM_CHECK_EQ(state->value.Peek(), 20); });
  run.DigestWith([state] { return uint64_t(state->value.Peek()); });
}

ExecutionOptions WithoutLockdep() { return {.detail = LockDetail::kNone, .lockdep = false}; }

ExecutionOptions Detail(LockDetail detail) { return {.detail = detail}; }

}  // namespace

std::vector<Scenario> LockScenarios() {
  constexpr auto kNone = LockDetail::kNone;
  constexpr auto kSleeping = LockDetail::kSleeping;
  constexpr auto kAll = LockDetail::kAll;
  return {
      {"spin_lock",
       "two tasks, two critical sections each, under a spinlock",
       {},
       Detail(kAll),
       &SpinLockExcludes},
      {"mutex",
       "three tasks, one critical section each, under a mutex",
       {},
       Detail(kSleeping),
       &MutexExcludes},
      {"mutex_kill",
       "a killable waiter is killed while others want the mutex",
       {},
       Detail(kSleeping),
       &MutexKill},
      {"rwsem",
       "two readers and a writer on a fair semaphore",
       {{Mutant::kRwSemLosesWakeup, {}}},
       Detail(kSleeping),
       &RwSemReadersAndWriter},
      {"rwsem_unfair",
       "two readers and a writer on an unfair semaphore",
       {},
       Detail(kSleeping),
       &RwSemUnfair},
      {"rwsem_writers", "two writers and a reader", {}, Detail(kSleeping), &RwSemTwoWriters},
      {"rwsem_steal",
       "two writers and a reader without hand-off",
       {},
       Detail(kSleeping),
       &RwSemWithoutHandoff},
      {"rwsem_downgrade",
       "a writer downgrades beside a writer and a reader",
       {{Mutant::kRwSemDowngradeLetsWriterIn, {}}},
       Detail(kSleeping),
       &RwSemDowngrade},
      {"rwsem_try", "try-locks beside a writer and a reader", {}, Detail(kSleeping), &RwSemTry},
      {"rwsem_kill",
       "a killable writer is killed while readers come and go",
       {},
       Detail(kSleeping),
       &RwSemKill},
      {"rwsem_no_wait",
       "a task that may not wait tries both holds beside a writer and a reader",
       {},
       Detail(kSleeping),
       &RwSemNoWait},
      {"lock_order",
       "two tasks take two mutexes in the same order",
       {{Mutant::kAbbaOrder, {}}},
       Detail(kNone),
       &TakeInOrder},
      {"lock_order_unchecked",
       "the same without lockdep: only a real deadlock is seen",
       {{Mutant::kAbbaOrder, {}}},
       WithoutLockdep(),
       &TakeInOrder},
      {"preempt_off",
       "two tasks want the only CPU for themselves",
       {},
       Detail(kNone),
       &PreemptOffOwnsCpu},
      {"speed",
       "two tasks of 30 operations each, for measuring the explorer",
       {},
       Detail(kNone),
       &SpeedTwoTasks},
  };
}

}  // namespace faultline
