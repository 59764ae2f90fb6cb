// SPDX-License-Identifier: Apache-2.0
//
// The scenarios of vma_scenarios.h. In each, one writer makes two stores that change the shape of
// the tree, and two readers look up what lies at the changed places. A reader must see the entry as
// it was before or after a store, and never a node that was freed. One more is about memory: the
// tree goes while what it retired waits for a grace period.
#include "core/explore/vma_scenarios.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/sync/sync.h"
#include "core/vma/maple_tree.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using Entry = MapleTree::Entry;

void* Value(uint64_t n) { return reinterpret_cast<void*>((n << 4) | 1); }

void Store(MapleTree& tree, uint64_t first, uint64_t last, void* value) {
  MM_CHECK(tree.Reserve(first, last).ok());
  tree.Store(first, last, value);
}

/// One store of the scenario's writer.
struct Change {
  uint64_t first;
  uint64_t last;
  void* value;
};

/// A tree with `entries` entries [10 i, 10 i + 4], then `changes` beside lookups at `watched`.
void ReadersBeside(Execution& run, uint64_t entries, const std::vector<Change>& changes,
                   const std::vector<uint64_t>& watched) {
  struct State {
    explicit State(Heap& heap) : tree(heap) {}
    MapleTree tree;
    uint64_t seen = 0;
  };
  auto* state = run.New<State>(run.heap());
  run.NameObject(&state->tree, sizeof(state->tree), "tree");
  MM_CHECK(state->tree.Init().ok());
  for (uint64_t i = 0; i < entries; ++i) Store(state->tree, i * 10, i * 10 + 4, Value(i));

  // What each watched index may be found in, state by state.
  std::vector<std::vector<Entry>> legal(watched.size());
  {
    MapleTree rehearsal(run.heap());
    MM_CHECK(rehearsal.Init().ok());
    for (uint64_t i = 0; i < entries; ++i) Store(rehearsal, i * 10, i * 10 + 4, Value(i));
    const auto note = [&] {
      for (size_t w = 0; w < watched.size(); ++w) legal[w].push_back(rehearsal.Lookup(watched[w]));
    };
    note();
    for (const Change& change : changes) {
      Store(rehearsal, change.first, change.last, change.value);
      note();
    }
  }

  run.Spawn("writer", [state, changes] {
    for (const Change& change : changes) {
      Store(state->tree, change.first, change.last, change.value);
    }
  });
  for (size_t w = 0; w < watched.size(); ++w) {
    run.Spawn("reader", [state, index = watched[w], allowed = legal[w]] {
      const RcuGuard guard;
      const Entry entry = state->tree.Lookup(index);
      const auto found = std::find(allowed.begin(), allowed.end(), entry);
      MM_CHECK(found != allowed.end());
      state->seen = state->seen * 10 + static_cast<uint64_t>(found - allowed.begin()) + 1;
    });
  }
  run.AtEnd([state] {
    state->tree.Validate();
    state->tree.~MapleTree();
  });
  run.DigestWith([state] { return state->seen; });
}

/// Within one leaf, which is the root: split an entry, then make a gap of both.
void OneLeaf(Execution& run) {
  ReadersBeside(run, 3, {{11, 12, Value(70)}, {10, 14, nullptr}}, {11, 13});
}

/// A full leaf becomes two, and the root an inner node; then one entry goes.
void LeafSplits(Execution& run) {
  ReadersBeside(run, 15, {{71, 72, Value(70)}, {71, 72, nullptr}}, {72, 140});
}

/// One store replaces several leaves of a tree with two levels, which shrinks.
void ManyLeavesAtOnce(Execution& run) {
  ReadersBeside(run, 40, {{55, 344, Value(70)}, {55, 344, nullptr}}, {200});
}

/// A mapping over others in one store (MAP_FIXED): at no moment is there a gap at its place.
void ReplacedWithoutGap(Execution& run) {
  ReadersBeside(run, 40, {{100, 104, Value(70)}, {95, 114, Value(71)}}, {102, 104});
}

/// What a store leaves of a leaf is too little: it is joined with its neighbour.
void LeavesJoin(Execution& run) {
  ReadersBeside(run, 40, {{15, 84, nullptr}, {20, 24, Value(70)}}, {2, 94});
}

/// One store of a tree with three levels reaches over several inner nodes, which are rebuilt.
void InnerNodesJoin(Execution& run) { ReadersBeside(run, 180, {{55, 1644, Value(70)}}, {1662}); }

/// A tree is destroyed while a grace period is pending, which a reader of something else prolongs.
/// Owner and callback both come to the batches of retired nodes; each is freed once, by the second.
void DestroyedEarly(Execution& run) {
  struct State {
    explicit State(Heap& heap) : tree(heap) {}
    MapleTree tree;
    Atomic<uint64_t> other{0};
  };
  auto* state = run.New<State>(run.heap());
  run.NameObject(&state->tree, sizeof(state->tree), "tree");
  MM_CHECK(state->tree.Init().ok());
  run.Spawn("owner", [state] {
    Store(state->tree, 10, 14, Value(1));
    Store(state->tree, 20, 24, Value(2));  // may take over what the first one retired
    state->tree.~MapleTree();
  });
  run.Spawn("reader", [state] {
    const RcuGuard guard;
    (void)state->other.Load(kRelaxed);  // relaxed: only there to make the section last
    (void)state->other.Load(kRelaxed);  // relaxed: as above
  });
}

}  // namespace

std::vector<Scenario> VmaScenarios() {
  const ExecutionOptions options{.detail = LockDetail::kNone};
  const std::vector<Expectation> finds{{Mutant::kFreeWithoutGracePeriod, {}}};
  return {
      {"maple_leaf", "two lookups beside two stores within one leaf", finds, options, &OneLeaf},
      {"maple_split", "two lookups while a leaf is split and joined", finds, options, &LeafSplits},
      {"maple_shrink", "a lookup while one store replaces many leaves", finds, options,
       &ManyLeavesAtOnce},
      {"maple_replace", "two lookups at a place that is always mapped", finds, options,
       &ReplacedWithoutGap},
      {"maple_join", "two lookups while what is left of a leaf joins its neighbour", finds, options,
       &LeavesJoin},
      {"maple_inner", "a lookup while one store rebuilds inner nodes", finds, options,
       &InnerNodesJoin},
      {"maple_destroy",
       "a tree destroyed before the grace periods it asked for",
       {},
       options,
       &DestroyedEarly},
  };
}

}  // namespace faultline
