// SPDX-License-Identifier: Apache-2.0
//
// What the modelled build notices about memory, one test per behaviour: heap pieces, objects under
// RCU, and slots of type-stable slabs reached through references and speculative copies.
//
// For every report there is a neighbour that must stay silent, Linux's own pattern of B15 among
// them. Rules: core/sync/modelled/memory_model.h.

#include <cstddef>
#include <string>

#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/sync/sync.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

constexpr auto kUseAfterFree = ViolationKind::kUseAfterFree;
constexpr auto kStaleReference = ViolationKind::kStaleReference;
constexpr auto kUnvalidatedValue = ViolationKind::kUnvalidatedValue;
constexpr auto kLeak = ViolationKind::kLeak;

// -- Heap -----------------------------------------------------------------------------------------

struct Box {
  Atomic<int> value{0};
  RcuHead rcu;
  Heap* heap = nullptr;

  static void Free(RcuHead* head) {
    Box* box = reinterpret_cast<Box*>(reinterpret_cast<std::byte*>(head) - offsetof(Box, rcu));
    box->heap->Delete(box);
  }
};

/// Runs `code(heap, box)` as the only task, on a box that it owns.
template <class Code>
Execution::Body WithBox(const Code& code) {
  return [code](Execution& run) {
    Heap* heap = &run.heap();
    Box* box = *heap->New<Box>();
    box->heap = heap;
    run.Spawn("task", [=] { code(*heap, box); });
  };
}

TEST(ModelledHeapTest, ReportsAnAtomicTouchOfFreedMemory) {
  ExpectViolation(kUseAfterFree, "touch of freed memory", WithBox([](Heap& heap, Box* box) {
                    heap.Delete(box);
                    (void)box->value.Load(kRelaxed);
                  }));
}

TEST(ModelledHeapTest, ReportsAMarkedTouchOfFreedMemory) {
  ExpectViolation(kUseAfterFree, "touch of freed memory", WithBox([](Heap& heap, Box* box) {
                    heap.Delete(box);
                    Touch(box);
                  }));
}

TEST(ModelledHeapTest, SaysWhoTouchedWhatFreedWhere) {
  const ReplayResult result = RunStraight(WithBox([](Heap& heap, Box* box) {
    heap.Delete(box);
    box->value.Store(1, kRelaxed);
  }));
  ASSERT_TRUE(result.violation.has_value());
  const std::string& message = result.violation->message;
  EXPECT_NE(message.find("task task touches Box#1"), std::string::npos) << message;
  EXPECT_NE(message.find("freed at tests/core/sync/modelled_memory_test.cc:"), std::string::npos)
      << message;
  EXPECT_NE(message.find("  at tests/core/sync/modelled_memory_test.cc:"), std::string::npos)
      << message;
}

TEST(ModelledHeapTest, ReportsATouchThatOnlyOneOrderOfTwoTasksMakes) {
  ExpectViolationInSomeSchedule(kUseAfterFree, "touch of freed memory", [](Execution& run) {
    Heap* heap = &run.heap();
    Box* box = *heap->New<Box>();
    auto* published = run.New<Atomic<Box*>>(box);
    run.Spawn("reader", [=] {
      Box* found = published->Load(kAcquire);
      if (found != nullptr) (void)found->value.Load(kRelaxed);
    });
    run.Spawn("owner", [=] {
      published->Store(nullptr, kRelease);
      heap->Delete(box);
    });
  });
}

TEST(ModelledHeapTest, ReportsATouchInsideTheConditionOfAWait) {
  ExpectViolation(kUseAfterFree, "touch of freed memory", [](Execution& run) {
    Heap* heap = &run.heap();
    Box* box = *heap->New<Box>();
    auto* go = run.New<Atomic<int>>(0);
    run.Spawn("waiter", [=] { SpinUntil([=] { return box->value.Load(kRelaxed) != 0; }); });
    run.Spawn("owner", [=] {
      go->Store(1, kRelaxed);
      heap->Delete(box);
    });
  });
}

TEST(ModelledHeapTest, ReportsADoubleFree) {
  ExpectViolation(kUseAfterFree, "double free", WithBox([](Heap& heap, Box* box) {
                    heap.Free(box, sizeof(Box));
                    heap.Free(box, sizeof(Box));
                  }));
}

TEST(ModelledHeapTest, ReportsAFreeWithAnotherSize) {
  ExpectViolation(kUseAfterFree, "another size",
                  WithBox([](Heap& heap, Box* box) { heap.Free(box, sizeof(Box) / 2); }));
}

TEST(ModelledHeapTest, ReportsAFreeOfTheMiddleOfAPiece) {
  ExpectViolation(kUseAfterFree, "middle of a piece",
                  WithBox([](Heap& heap, Box* box) { heap.Free(&box->rcu, sizeof(RcuHead)); }));
}

TEST(ModelledHeapTest, ReportsAFreeOfMemoryThatIsNotTheHeaps) {
  ExpectViolation(kUseAfterFree, "no heap gave out", WithBox([](Heap& heap, Box*) {
                    static Box not_of_the_heap;
                    heap.Free(&not_of_the_heap, sizeof(Box));
                  }));
}

TEST(ModelledHeapTest, ReportsATouchBehindTheLastPiece) {
  ExpectViolation(kUseAfterFree, "no heap gave out", [](Execution& run) {
    Heap* heap = &run.heap();
    run.Spawn("task", [=] {
      void* first = *heap->Allocate(16);
      void* second = *heap->Allocate(16, 4096);  // leaves a gap behind the first
      Touch(static_cast<std::byte*>(first) + 32);
      heap->Free(first, 16);
      heap->Free(second, 16, 4096);
    });
  });
}

TEST(ModelledHeapTest, ReportsALeakByTheTypeThatWasMade) {
  ExpectViolation(kLeak, "Box#1 was never freed", WithBox([](Heap&, Box*) {}));
}

TEST(ModelledHeapTest, ReportsALeakWithTheLineThatAllocated) {
  const std::string line = std::to_string(__LINE__ + 2);
  const Execution::Body body = [](Execution& run) {
    (void)run.heap().Allocate(24);
    run.Spawn("task", [] {});
  };
  ExpectViolation(kLeak, "24 bytes, allocated at tests/core/sync/modelled_memory_test.cc:" + line,
                  body);
}

TEST(ModelledHeapTest, SaysEnomemWhenTheArenaIsFull) {
  ExecutionOptions options = kWholeLocks;
  options.arena_bytes = 8192;
  const auto body = [](Execution& run) {
    Heap* heap = &run.heap();
    run.Spawn("task", [=] {
      const Result<void*> fits = heap->Allocate(6000);
      MM_CHECK(fits.ok());
      const Result<void*> too_much = heap->Allocate(6000);
      MM_CHECK(!too_much.ok());
      MM_CHECK_EQ(too_much.error(), Errno::kEnomem);
      heap->Free(*fits, 6000);
    });
  };
  ExpectClean(body, options);
}

TEST(ModelledHeapTest, DoesNotReuseAFreedPieceWithinARun) {
  ExpectClean(WithBox([](Heap& heap, Box* box) {
    heap.Delete(box);
    Box* another = *heap.New<Box>();
    MM_CHECK(another != box);
    heap.Delete(another);
  }));
}

// -- RCU ------------------------------------------------------------------------------------------

TEST(ModelledRcuTest, ReportsATaskThatEndsInsideASection) {
  ExpectViolation(kLeak, "a task ended inside an RCU section",
                  [](Execution& run) { run.Spawn("task", [] { Rcu::ReadLock(); }); });
}

TEST(ModelledRcuTest, ReportsARetireOfTheSameObjectTwice) {
  ExpectViolation(kUseAfterFree, "retired twice", WithBox([](Heap&, Box* box) {
                    Rcu::Retire(box->rcu, &Box::Free);
                    Rcu::Retire(box->rcu, &Box::Free);
                  }));
}

TEST(ModelledRcuTest, ReportsAPointerThatOutlivesItsSection) {
  // Reported although the object lives: by luck, not by right.
  ExpectViolation(kStaleReference, "after the RCU section", [](Execution& run) {
    auto* box = run.New<Box>();
    auto* pointer = run.New<RcuPtr<Box>>(box);
    run.Spawn("reader", [=] {
      RcuRef<Box> found;
      {
        const RcuGuard guard;
        found = pointer->Read();
      }
      (void)found->value.Load(kRelaxed);
    });
  });
}

TEST(ModelledRcuTest, ReportsAPointerOfOneSectionUsedInTheNext) {
  ExpectViolation(kStaleReference, "after the RCU section", [](Execution& run) {
    auto* box = run.New<Box>();
    auto* pointer = run.New<RcuPtr<Box>>(box);
    run.Spawn("reader", [=] {
      RcuRef<Box> found;
      {
        const RcuGuard guard;
        found = pointer->Read();
      }
      const RcuGuard guard;
      (void)found->value.Load(kRelaxed);
    });
  });
}

TEST(ModelledRcuTest, LetsAPointerLiveThroughNestedSections) {
  ExpectClean([](Execution& run) {
    auto* box = run.New<Box>();
    auto* pointer = run.New<RcuPtr<Box>>(box);
    run.Spawn("reader", [=] {
      const RcuGuard guard;
      const RcuRef<Box> found = pointer->Read();
      {
        const RcuGuard nested;
      }
      (void)found->value.Load(kRelaxed);
    });
  });
}

TEST(ModelledRcuTest, CatchesAReaderWithoutASection) {
  ExpectViolationInSomeSchedule(kUseAfterFree, "touch of freed memory", [](Execution& run) {
    Heap* heap = &run.heap();
    Box* box = *heap->New<Box>();
    box->heap = heap;
    auto* pointer = run.New<RcuPtr<Box>>(box);
    run.Spawn("reader", [=] {
      const RcuRef<Box> found = pointer->Read();
      if (found) (void)found->value.Load(kRelaxed);
    });
    run.Spawn("writer", [=] {
      pointer->Publish(nullptr);
      Rcu::Retire(box->rcu, &Box::Free);
    });
  });
}

TEST(ModelledRcuTest, RunsEveryCallbackBeforeTheRunEnds) {
  ExpectClean(WithBox([](Heap&, Box* box) { Rcu::Retire(box->rcu, &Box::Free); }));
}

// -- Type-stable slots ----------------------------------------------------------------------------

/// Reference count and owner are stable, the key is not.
struct Counted {
  Atomic<int> count{0};
  Atomic<int> owner{0};
  Atomic<int> key{0};

  void VisitStableFields(auto&& visit) {
    visit(count);
    visit(owner);
  }
};

struct Slab {
  explicit Slab(Heap& heap) : slots(heap) {}
  TypeStableSlab<Counted> slots;

  Counted* Make(int key) {
    Counted* object = *slots.Allocate();
    object->owner.Store(1, kRelaxed);
    object->key.Store(key, kRelaxed);
    object->count.Store(1, kRelease);
    return object;
  }
  void Drop(Counted* object) {
    object->count.Store(0, kRelaxed);
    slots.Free(object);
  }
  /// Frees the object and makes another, which gets its slot.
  Counted* Recycle(Counted* object) {
    Drop(object);
    return Make(9);
  }
};

/// Runs `code(slab, object)` as the only task, with a live object of its own, inside a section if
/// asked for.
template <class Code>
Execution::Body WithSlab(const Code& code) {
  return [code](Execution& run) {
    auto* slab = run.New<Slab>(run.heap());
    run.Spawn("task", [=] {
      Counted* object = slab->Make(7);
      code(*slab, object);
    });
    run.AtEnd([=] { slab->slots.~TypeStableSlab<Counted>(); });
  };
}

TEST(TypeStableTest, ReportsATouchOfAFreeSlotThroughAPointer) {
  ExpectViolation(kStaleReference, "touch of a free slot",
                  WithSlab([](Slab& slab, Counted* object) {
                    slab.Drop(object);
                    (void)object->key.Load(kRelaxed);
                  }));
}

TEST(TypeStableTest, AllowsStableFieldsOfAFreeSlot) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    slab.Drop(object);
    MM_CHECK_EQ(object->count.Load(kRelaxed), 0);
    MM_CHECK_EQ(object->owner.Load(kRelaxed), 1);
  }));
}

TEST(TypeStableTest, ReportsAReferenceThatIsAGenerationBehind) {
  ExpectViolation(kStaleReference, "recycled for another object",
                  WithSlab([](Slab& slab, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Counted* another = slab.Recycle(object);
                    MM_CHECK(another == object);
                    (void)ref->key.Load(kRelaxed);
                  }));
}

TEST(TypeStableTest, AllowsStableFieldsThroughAReferenceThatIsAGenerationBehind) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    const RcuGuard guard;
    const StableRef<Counted> ref(object);
    Counted* another = slab.Recycle(object);
    MM_CHECK_EQ(ref->count.Load(kRelaxed), 1);
    slab.Drop(another);
  }));
}

TEST(TypeStableTest, ReportsAReferenceUsedAfterItsSection) {
  ExpectViolation(kStaleReference, "after the RCU section", WithSlab([](Slab&, Counted* object) {
                    StableRef<Counted> ref;
                    {
                      const RcuGuard guard;
                      ref = StableRef<Counted>(object);
                    }
                    (void)ref->count.Load(kRelaxed);
                  }));
}

TEST(TypeStableTest, AllowsAnAdoptedReferenceAfterItsSection) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    StableRef<Counted> ref;
    {
      const RcuGuard guard;
      ref = StableRef<Counted>(object);
      ref->count.FetchAdd(1, kAcquire);
      ref.Adopt();
    }
    MM_CHECK_EQ(ref->key.Load(kRelaxed), 7);
    slab.Drop(object);
  }));
}

TEST(TypeStableTest, MakesAnAdoptedReferenceMeanTheObjectThatIsThere) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    const RcuGuard guard;
    StableRef<Counted> ref(object);
    Counted* another = slab.Recycle(object);
    ref->count.FetchAdd(1, kAcquire);
    ref.Adopt();
    MM_CHECK_EQ(ref->key.Load(kRelaxed), 9);
    slab.Drop(another);
  }));
}

TEST(TypeStableTest, ReportsTheAdoptionOfAFreeSlot) {
  ExpectViolation(kStaleReference, "adopted", WithSlab([](Slab& slab, Counted* object) {
                    const RcuGuard guard;
                    StableRef<Counted> ref(object);
                    slab.Drop(object);
                    ref.Adopt();
                  }));
}

TEST(TypeStableTest, ReportsADoubleFreeOfASlot) {
  ExpectViolation(kUseAfterFree, "double free", WithSlab([](Slab& slab, Counted* object) {
                    slab.Drop(object);
                    slab.Drop(object);
                  }));
}

TEST(TypeStableTest, ReportsASlotThatIsGivenToTheHeap) {
  ExpectViolation(kUseAfterFree, "slab's slot was given to the heap", [](Execution& run) {
    auto* slab = run.New<Slab>(run.heap());
    Heap* heap = &run.heap();
    run.Spawn("task", [=] { heap->Delete(slab->Make(7)); });
  });
}

TEST(TypeStableTest, ReportsAnObjectThatWasNeverFreed) {
  const auto body = [](Execution& run) {
    auto* slab = run.New<Slab>(run.heap());
    run.Spawn("task", [=] { (void)slab->Make(7); });
  };
  ExpectViolation(kLeak, "was never freed", body);
}

// -- Speculative copies ---------------------------------------------------------------------------

using Copy = Speculate<Counted, int>;

TEST(SpeculateTest, ReportsACopyThatIsNeverValidated) {
  ExpectViolation(kUnvalidatedValue, "neither validated nor abandoned",
                  WithSlab([](Slab&, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Copy copy(ref);
                    copy.draft() = ref->key.Load(kRelaxed);
                  }));
}

TEST(SpeculateTest, ReportsAValueUsedAfterARefusedValidation) {
  ExpectViolation(kUnvalidatedValue, "used without validation",
                  WithSlab([](Slab&, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Copy copy(ref);
                    copy.draft() = ref->key.Load(kRelaxed);
                    if (!copy.Validate(false)) (void)copy.value();
                  }));
}

TEST(SpeculateTest, ReportsAValueUsedBeforeValidation) {
  ExpectViolation(kUnvalidatedValue, "used without validation",
                  WithSlab([](Slab&, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Copy copy(ref);
                    copy.draft() = ref->key.Load(kRelaxed);
                    (void)copy.value();
                  }));
}

TEST(SpeculateTest, ReportsAValueUsedAfterAbandon) {
  ExpectViolation(kUnvalidatedValue, "used without validation",
                  WithSlab([](Slab&, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Copy copy(ref);
                    copy.Abandon();
                    (void)copy.value();
                  }));
}

TEST(SpeculateTest, ReportsARecycledObjectValidatedAsUnchanged) {
  ExpectViolation(kUnvalidatedValue, "recycled object was validated as unchanged",
                  WithSlab([](Slab& slab, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Copy copy(ref);
                    copy.draft() = ref->key.Load(kRelaxed);
                    (void)slab.Recycle(object);
                    (void)copy.Validate(true);
                  }));
}

TEST(SpeculateTest, ReportsAStoreThroughAStaleReferenceInsideTheScope) {
  ExpectViolation(kStaleReference, "recycled for another object",
                  WithSlab([](Slab& slab, Counted* object) {
                    const RcuGuard guard;
                    const StableRef<Counted> ref(object);
                    Copy copy(ref);
                    (void)slab.Recycle(object);
                    ref->key.Store(1, kRelaxed);
                  }));
}

TEST(SpeculateTest, AllowsLoadsOfARecycledObjectWhoseCopyIsRefused) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    const RcuGuard guard;
    const StableRef<Counted> ref(object);
    Copy copy(ref);
    Counted* another = slab.Recycle(object);
    copy.draft() = ref->key.Load(kRelaxed);
    MM_CHECK(!copy.Validate(false));
    slab.Drop(another);
  }));
}

TEST(SpeculateTest, AllowsLoadsOfAFreeSlotWhoseCopyIsAbandoned) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    const RcuGuard guard;
    const StableRef<Counted> ref(object);
    Copy copy(ref);
    slab.Drop(object);
    copy.draft() = ref->key.Load(kRelaxed);
    copy.Abandon();
  }));
}

TEST(SpeculateTest, GivesTheValueOfAValidatedCopy) {
  ExpectClean(WithSlab([](Slab& slab, Counted* object) {
    {
      const RcuGuard guard;
      const StableRef<Counted> ref(object);
      Copy copy(ref);
      copy.draft() = ref->key.Load(kRelaxed);
      MM_CHECK(copy.Validate(true));
      MM_CHECK_EQ(copy.value(), 7);
    }
    slab.Drop(object);
  }));
}

}  // namespace
}  // namespace faultline
