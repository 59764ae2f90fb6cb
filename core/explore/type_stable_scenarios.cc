// SPDX-License-Identifier: Apache-2.0
//
// Scenarios of type-stable memory, in which VMAs live since Linux 6.15 (B15, B16): an object is
// found under RCU while its slot is recycled for another owner. A reader pins it by its count and
// looks again, or copies it and validates the copy.
#include "core/base/check.h"
#include "core/explore/sync_scenarios.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

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

ExecutionOptions Detail(LockDetail detail) { return {.detail = detail}; }

}  // namespace

std::vector<Scenario> TypeStableScenarios() {
  constexpr auto kNone = LockDetail::kNone;
  return {
      {"type_stable",
       "count, owner, use: a lookup beside the slot's recycling",
       {{Mutant::kStaleTypeStablePointer, {}}},
       Detail(kNone),
       &TypeStableLookup},
      {"type_stable_copy",
       "a validated copy beside the slot's recycling",
       {},
       Detail(kNone),
       &TypeStableCopy},
  };
}

}  // namespace faultline
