// SPDX-License-Identifier: Apache-2.0
//
// Scenarios of reading without a lock: sequence counts and RCU. A reader must see one consistent
// state, or know that it did not, and never an object that was freed.
#include "core/base/check.h"
#include "core/explore/sync_scenarios.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using Outer = Mutex<LockRank::kTestOuter>;

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

ExecutionOptions Detail(LockDetail detail) { return {.detail = detail}; }

}  // namespace

std::vector<Scenario> RcuScenarios() {
  constexpr auto kNone = LockDetail::kNone;
  return {
      {"seq_count",
       "a reader copies a pair that a writer changes twice",
       {{Mutant::kSeqCountReaderForgetsRecheck, {}}},
       Detail(kNone),
       &SeqCountReader},
      {"rcu",
       "two readers of a pointer whose object is replaced and retired",
       {{Mutant::kFreeWithoutGracePeriod, {}}},
       Detail(kNone),
       &RcuReaders},
      {"rcu_awake",
       "a reader in a section beside a writer",
       {{Mutant::kSleepInRcuSection, {}}},
       Detail(kNone),
       &RcuReaderStaysAwake},
      {"rcu_synchronize",
       "a writer frees after a grace period that it waited for",
       {},
       Detail(kNone),
       &RcuSynchronizeThenFree},
      {"rcu_barrier", "a task waits for another's callbacks", {}, Detail(kNone), &RcuBarrierWaits},
  };
}

}  // namespace faultline
