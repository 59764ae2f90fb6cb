// SPDX-License-Identifier: Apache-2.0
//
// The scenarios of sync_scenarios.h. Each function is one scenario's body: it makes the shared
// state, spawns the tasks and says what must hold at the end. `Exclusion` watches critical
// sections: it has scheduling points inside, so that a lock which lets two in at once is caught in
// the act.
#include "core/explore/sync_scenarios.h"

#include "core/base/check.h"
#include "core/sync/atomic_step.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using Outer = Mutex<LockRank::kTestOuter>;
using Middle = Mutex<LockRank::kTestMiddle>;
using Inner = SpinLock<LockRank::kTestInner>;
using Sem = RwSem<LockRank::kTestOuter>;

/// Who is inside a critical section; checks the rule of readers and writers at every entry.
class Exclusion {
 public:
  void Write() {
    MM_CHECK_EQ(readers_, 0);
    MM_CHECK_EQ(writers_, 0);
    ++writers_;
    Linger();
    --writers_;
    ++writes_;
  }
  void Read() {
    MM_CHECK_EQ(writers_, 0);
    ++readers_;
    Linger();
    --readers_;
  }
  /// Between these a writer has downgraded: readers may be there, writers may not.
  void BeginShared() {
    MM_CHECK_EQ(writers_, 0);
    ++readers_;
  }
  void EndShared() {
    Linger();
    --readers_;
  }
  [[nodiscard]] int writes() const { return writes_; }

 private:
  void Linger() { (void)point_.Load(kRelaxed); }

  Atomic<int> point_{0};
  int readers_ = 0;  // plain: a step is atomic, and the checks are about steps
  int writers_ = 0;
  int writes_ = 0;
};

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

// -- Waiting --------------------------------------------------------------------------------------

void WaitQueueWakes(Execution& run) {
  struct State {
    WaitQueue queue;
    Atomic<int> tokens{0};
    int taken = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->queue, sizeof(state->queue), "queue");
  run.NameObject(&state->tokens, sizeof(state->tokens), "tokens");
  const auto take = [state] {
    state->queue.Wait([state] {
      int tokens = state->tokens.Load(kAcquire);
      while (tokens > 0) {
        if (state->tokens.CompareExchange(tokens, tokens - 1, kAcquire, kAcquire)) return true;
      }
      return false;
    });
    ++state->taken;
  };
  run.Spawn("waiter", take);
  run.Spawn("waiter2", take);
  run.Spawn("waker", [state] {
    for (int i = 0; i < 2; ++i) {
      state->tokens.FetchAdd(1, kRelease);
      state->queue.WakeOne();
    }
  });
  run.AtEnd([state] { MM_CHECK_EQ(state->taken, 2); });
}

void WaitQueueKill(Execution& run) {
  struct State {
    WaitQueue queue;
    Atomic<int> ready{0};
    Task* victim = nullptr;
    int ok = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->queue, sizeof(state->queue), "queue");
  run.Spawn("victim", [state] {
    state->victim = &CurrentTask();
    const auto is_ready = [state] { return state->ready.Load(kAcquire) != 0; };
    if (state->queue.WaitKillable(is_ready).ok()) {
      MM_CHECK(state->ready.Peek() != 0);
      ++state->ok;
    }
  });
  run.Spawn("patient",
            [state] { state->queue.Wait([state] { return state->ready.Load(kAcquire) != 0; }); });
  run.Spawn("waker", [state] {
    state->victim->Kill();
    state->ready.Store(1, kRelease);
    // One wake-up for two waiters, one of whom is being killed: it must reach the other.
    state->queue.WakeOne();
    state->queue.WakeOne();
  });
  run.DigestWith([state] { return uint64_t(state->ok); });
}

void CompletionLetsThrough(Execution& run) {
  struct State {
    Completion done;
    Atomic<int> value{0};
    int seen = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->done, sizeof(state->done), "done");
  for (const char* name : {"waiter", "waiter2"}) {
    run.Spawn(name, [state] {
      state->done.Wait();
      state->seen += state->value.Load(kRelaxed);
    });
  }
  run.Spawn("worker", [state] {
    state->value.Store(1, kRelaxed);
    state->done.Complete();
    state->done.Complete();
  });
  run.AtEnd([state] { MM_CHECK_EQ(state->seen, 2); });
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

// -- Sequence counts ------------------------------------------------------------------------------

void SeqCountReader(Execution& run) {
  struct State {
    SeqCount seq;
    Atomic<int> left{0};
    Atomic<int> right{0};
    uint64_t seen = 0;
  };
  auto* state = run.New<State>();
  run.NameObject(&state->seq, sizeof(state->seq), "seq");
  run.NameObject(&state->left, sizeof(state->left), "left");
  run.NameObject(&state->right, sizeof(state->right), "right");
  run.Spawn("writer", [state] {
    for (int i = 1; i <= 2; ++i) {
      const SeqWriteGuard guard(state->seq);
      state->left.Store(i, kRelaxed);
      state->right.Store(i, kRelaxed);
    }
  });
  run.Spawn("reader", [state] {
    int left = 0;
    int right = 0;
    uint64_t note = 0;
    do {
      note = state->seq.ReadBegin();
      left = state->left.Load(kRelaxed);
      right = state->right.Load(kRelaxed);
    } while (state->seq.ReadRetry(note));
    MM_CHECK_EQ(left, right);
    state->seen = uint64_t(left);
  });
  run.DigestWith([state] { return state->seen; });
}

// -- RCU ------------------------------------------------------------------------------------------

struct Node {
  explicit Node(int first) : value(first) {}
  Atomic<int> value;
  RcuHead rcu;
  Heap* heap = nullptr;

  static void FreeAfterGracePeriod(RcuHead* head) {
    Node* node = reinterpret_cast<Node*>(reinterpret_cast<std::byte*>(head) - offsetof(Node, rcu));
    node->heap->Delete(node);
  }
};

struct RcuState {
  RcuPtr<Node> current;
  Outer update_lock;
  uint64_t seen = 0;
};

Node* NewNode(Heap& heap, int value) {
  Node* node = *heap.New<Node>(value);
  node->heap = &heap;
  return node;
}

/// Readers follow a pointer that a writer replaces, retiring what was there.
RcuState* ReplaceUnderRcu(Execution& run) {
  auto* state = run.New<RcuState>();
  Heap* heap = &run.heap();
  state->current.Publish(NewNode(*heap, 1));
  run.NameObject(&state->current, sizeof(state->current), "current");
  run.Spawn("writer", [state, heap] {
    Node* fresh = NewNode(*heap, 2);
    Node* old = state->current.LoadLocked();
    state->current.Publish(fresh);
    Rcu::Retire(old->rcu, &Node::FreeAfterGracePeriod);
  });
  run.AtEnd([state, heap] { heap->Delete(state->current.LoadLocked()); });
  run.DigestWith([state] { return state->seen; });
  return state;
}

void RcuReaders(Execution& run) {
  RcuState* state = ReplaceUnderRcu(run);
  for (const char* name : {"reader", "reader2"}) {
    run.Spawn(name, [state] {
      const RcuGuard guard;
      const RcuRef<Node> node = state->current.Read();
      const int value = node->value.Load(kRelaxed);
      MM_CHECK(value == 1 || value == 2);
      state->seen = state->seen * 10 + uint64_t(value);
    });
  }
}

void RcuReaderStaysAwake(Execution& run) {
  RcuState* state = ReplaceUnderRcu(run);
  run.Spawn("reader", [state] {
    const RcuGuard guard;
    const RcuRef<Node> node = state->current.Read();
    if (MutantOn(Mutant::kSleepInRcuSection)) {
      const LockGuard lock(state->update_lock);
      state->seen = uint64_t(node->value.Load(kRelaxed));
      return;
    }
    state->seen = uint64_t(node->value.Load(kRelaxed));
  });
}

void RcuSynchronizeThenFree(Execution& run) {
  auto* state = run.New<RcuState>();
  Heap* heap = &run.heap();
  state->current.Publish(NewNode(*heap, 1));
  run.NameObject(&state->current, sizeof(state->current), "current");
  run.Spawn("writer", [state, heap] {
    Node* old = state->current.LoadLocked();
    state->current.Publish(nullptr);
    Rcu::Synchronize();
    heap->Delete(old);
  });
  run.Spawn("reader", [state] {
    const RcuGuard guard;
    const RcuRef<Node> node = state->current.Read();
    if (node) state->seen = uint64_t(node->value.Load(kRelaxed));
  });
  run.DigestWith([state] { return state->seen; });
}

void RcuBarrierWaits(Execution& run) {
  RcuState* state = ReplaceUnderRcu(run);
  run.Spawn("barrier", [state] {
    Rcu::Barrier();
    const RcuGuard guard;
    state->seen = uint64_t(state->current.Read()->value.Load(kRelaxed));
  });
}

// -- Type-stable memory ---------------------------------------------------------------------------

/// An object found under RCU and pinned by a count, as VMAs are since Linux 6.15 (B15, B16).
struct Counted {
  Atomic<int> count{0};  ///< 0: detached or free
  Atomic<int> owner{0};  ///< whose it is (a VMA's mm)
  Atomic<int> key{0};

  void VisitStableFields(auto&& visit) {
    visit(count);
    visit(owner);
  }
  /// Takes a count unless the object is detached.
  bool TryGet() {
    int seen = count.Load(kRelaxed);
    while (seen != 0) {
      if (count.CompareExchange(seen, seen + 1, kAcquire, kRelaxed)) return true;
    }
    return false;
  }
};

struct SlabState {
  explicit SlabState(Heap& heap) : slab(heap) {}
  TypeStableSlab<Counted> slab;
  Atomic<Counted*> found{nullptr};
  SeqCount seq;
  uint64_t seen = 0;

  Counted* Make(int owner, int key) {
    Counted* object = *slab.Allocate();
    object->key.Store(key, kRelaxed);
    object->owner.Store(owner, kRelaxed);
    object->count.Store(1, kRelease);
    return object;
  }
  void Put(Counted* object) {
    if (object->count.FetchSub(1, kRelease) == 1) slab.Free(object);
  }
};

constexpr int kMine = 1;
constexpr int kOther = 2;

/// One task detaches the object and frees it; its slot is at once another owner's.
SlabState* RecycleObject(Execution& run) {
  auto* state = run.New<SlabState>(run.heap());
  state->found.Store(state->Make(kMine, 7), kRelease);
  run.NameObject(&state->found, sizeof(state->found), "found");
  run.NameObject(&state->seq, sizeof(state->seq), "seq");
  run.NameObject(state->found.Peek(), sizeof(Counted), "object");
  run.Spawn("recycler", [state] {
    Counted* object = state->found.Load(kRelaxed);
    {
      const SeqWriteGuard guard(state->seq);
      state->found.Store(nullptr, kRelease);
    }
    state->Put(object);
    Counted* another = state->Make(kOther, 9);
    state->Put(another);
  });
  run.AtEnd([state] { state->slab.~TypeStableSlab<Counted>(); });
  run.DigestWith([state] { return state->seen; });
  return state;
}

/// Linux's pattern: take the count, then look whose it is, then use it.
void TypeStableLookup(Execution& run) {
  SlabState* state = RecycleObject(run);
  run.Spawn("reader", [state] {
    Counted* pinned = nullptr;
    {
      const RcuGuard guard;
      StableRef<Counted> ref(state->found.Load(kAcquire));
      if (!ref) return;
      if (MutantOn(Mutant::kStaleTypeStablePointer)) {
        state->seen = uint64_t(ref->key.Load(kRelaxed));  // looks before it pins
        return;
      }
      if (!ref->TryGet()) return;
      ref.Adopt();
      pinned = ref.get();
    }
    if (pinned->owner.Load(kRelaxed) == kMine) {
      state->seen = uint64_t(pinned->key.Load(kRelaxed));
      MM_CHECK_EQ(state->seen, 7u);
    }
    state->Put(pinned);
  });
}

/// The speculative pattern: copy, validate, and only then use the copy.
void TypeStableCopy(Execution& run) {
  SlabState* state = RecycleObject(run);
  run.Spawn("reader", [state] {
    const RcuGuard guard;
    uint64_t note = 0;
    if (!state->seq.TryReadBegin(note)) return;
    const StableRef<Counted> ref(state->found.Load(kAcquire));
    if (!ref) return;
    struct View {
      int owner;
      int key;
    };
    Speculate<Counted, View> copy(ref);
    copy.draft().owner = ref->owner.Load(kRelaxed);
    copy.draft().key = ref->key.Load(kRelaxed);
    if (!copy.Validate(!state->seq.ReadRetry(note))) return;
    MM_CHECK_EQ(copy.value().owner, kMine);
    MM_CHECK_EQ(copy.value().key, 7);
    state->seen = uint64_t(copy.value().key);
  });
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

ExecutionOptions Detail(LockDetail detail) { return {.detail = detail}; }

ExecutionOptions WithoutLockdep() { return {.detail = LockDetail::kNone, .lockdep = false}; }

}  // namespace

std::vector<Scenario> SyncScenarios() {
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
       {Mutant::kRwSemLosesWakeup},
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
       {Mutant::kRwSemDowngradeLetsWriterIn},
       Detail(kSleeping),
       &RwSemDowngrade},
      {"rwsem_try", "try-locks beside a writer and a reader", {}, Detail(kSleeping), &RwSemTry},
      {"rwsem_kill",
       "a killable writer is killed while readers come and go",
       {},
       Detail(kSleeping),
       &RwSemKill},
      {"lock_order",
       "two tasks take two mutexes in the same order",
       {Mutant::kAbbaOrder},
       Detail(kNone),
       &TakeInOrder},
      {"lock_order_unchecked",
       "the same without lockdep: only a real deadlock is seen",
       {Mutant::kAbbaOrder},
       WithoutLockdep(),
       &TakeInOrder},
      {"wait_queue", "two waiters and two wake-ups", {}, Detail(kSleeping), &WaitQueueWakes},
      {"wait_queue_kill",
       "a killed waiter does not swallow another's wake-up",
       {},
       Detail(kSleeping),
       &WaitQueueKill},
      {"completion", "two waiters, completed twice", {}, Detail(kSleeping), &CompletionLetsThrough},
      {"preempt_off",
       "two tasks want the only CPU for themselves",
       {},
       Detail(kNone),
       &PreemptOffOwnsCpu},
      {"seq_count",
       "a reader copies a pair that a writer changes twice",
       {Mutant::kSeqCountReaderForgetsRecheck},
       Detail(kNone),
       &SeqCountReader},
      {"rcu",
       "two readers of a pointer whose object is replaced and retired",
       {Mutant::kFreeWithoutGracePeriod},
       Detail(kNone),
       &RcuReaders},
      {"rcu_awake",
       "a reader in a section beside a writer",
       {Mutant::kSleepInRcuSection},
       Detail(kNone),
       &RcuReaderStaysAwake},
      {"rcu_synchronize",
       "a writer frees after a grace period that it waited for",
       {},
       Detail(kNone),
       &RcuSynchronizeThenFree},
      {"rcu_barrier", "a task waits for another's callbacks", {}, Detail(kNone), &RcuBarrierWaits},
      {"type_stable",
       "count, owner, use: a lookup beside the slot's recycling",
       {Mutant::kStaleTypeStablePointer},
       Detail(kNone),
       &TypeStableLookup},
      {"type_stable_copy",
       "a validated copy beside the slot's recycling",
       {},
       Detail(kNone),
       &TypeStableCopy},
      {"speed",
       "two tasks of 30 operations each, for measuring the explorer",
       {},
       Detail(kNone),
       &SpeedTwoTasks},
  };
}

}  // namespace faultline
