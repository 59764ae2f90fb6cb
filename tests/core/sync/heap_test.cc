// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/heap.h and type_stable.h, native: alignment, reuse, a full arena, poisoning of
// what was freed, and what survives in a recycled slot (B15).

#include "core/sync/heap.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "core/sync/atomic.h"
#include "core/sync/rcu.h"
#include "core/sync/type_stable.h"

namespace faultline {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class HeapTest : public ::testing::Test {
 protected:
  Arena arena_ = *Arena::Create(16 * kMiB);
  Heap heap_{arena_};
};

TEST_F(HeapTest, PiecesAreAlignedToTheirSizeUpToAPage) {
  for (size_t size = 1; size <= Heap::kMaxPiece; size = size * 3 / 2 + 1) {
    void* piece = *heap_.Allocate(size);
    std::memset(piece, 0xff, size);
    const size_t promised = std::min(std::bit_ceil(std::max<size_t>(size, 16)), Arena::kMaxAlign);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % promised, 0u) << size;
    heap_.Free(piece, size);
  }
}

TEST_F(HeapTest, AlignmentThatIsAskedForIsGiven) {
  for (size_t align = 1; align <= Arena::kMaxAlign; align *= 2) {
    void* piece = *heap_.Allocate(8, align);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % align, 0u);
    heap_.Free(piece, 8, align);
  }
}

TEST_F(HeapTest, LivePiecesDoNotOverlap) {
  std::vector<uint64_t*> pieces;
  for (uint64_t i = 0; i < 1000; ++i) {
    pieces.push_back(*heap_.New<uint64_t>(i));
    if (i % 3 == 0) {
      heap_.Delete(pieces.back());
      pieces.pop_back();
    }
  }
  std::ranges::sort(pieces, {}, [](const uint64_t* piece) { return *piece; });
  EXPECT_EQ(std::ranges::adjacent_find(pieces, {}, [](const uint64_t* piece) { return *piece; }),
            pieces.end());
  for (uint64_t* piece : pieces) heap_.Delete(piece);
}

TEST_F(HeapTest, ReusesTheLastFreedPieceOfASizeClass) {
  void* first = *heap_.Allocate(100);
  void* second = *heap_.Allocate(128);
  heap_.Free(first, 100);
  heap_.Free(second, 128);
  EXPECT_EQ(*heap_.Allocate(65), second);
  EXPECT_EQ(*heap_.Allocate(128), first);
}

TEST_F(HeapTest, SameRequestsGetTheSameOffsetsInEveryRun) {
  Arena other_arena = *Arena::Create(16 * kMiB);
  Heap other(other_arena);
  for (const size_t size : {24, 4096, 7, 300, 64}) {
    EXPECT_EQ(arena_.OffsetOf(*heap_.Allocate(size)), other_arena.OffsetOf(*other.Allocate(size)));
  }
}

TEST_F(HeapTest, FullArenaIsEnomemUntilSomethingIsFreed) {
  Arena small = *Arena::Create(kPageSize);
  Heap heap(small);
  std::vector<void*> pieces;
  while (true) {
    const Result<void*> piece = heap.Allocate(1024);
    if (!piece.ok()) {
      EXPECT_EQ(piece.error(), Errno::kEnomem);
      break;
    }
    pieces.push_back(*piece);
  }
  EXPECT_EQ(pieces.size(), 4u);
  EXPECT_EQ(heap.New<uint64_t>().error(), Errno::kEnomem);
  heap.Free(pieces.back(), 1024);
  EXPECT_TRUE(heap.Allocate(1024).ok());
}

// Two heaps, one after the other, over the same memory.
TEST_F(HeapTest, EndOfAHeapLeavesCleanMemoryBehind) {
  Arena arena = *Arena::Create(kPageSize);
  {
    Heap heap(arena);
    void* piece = *heap.Allocate(1024);
    heap.Free(piece, 1024);
  }
  arena.Reset();
  Heap heap(arena);
  std::memset(*heap.Allocate(1024), 0xff, 1024);
}

TEST_F(HeapTest, NewAndDeleteRunConstructorAndDestructor) {
  struct Counted {
    explicit Counted(int& count) : live(count) { ++live; }
    ~Counted() { --live; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    int& live;
  };
  int live = 0;
  Counted* object = *heap_.New<Counted>(live);
  EXPECT_EQ(live, 1);
  heap_.Delete(object);
  EXPECT_EQ(live, 0);
}

using HeapDeathTest = HeapTest;

TEST_F(HeapDeathTest, AddressSanitizerSeesATouchOfAFreedPiece) {
  if (!kAsan) GTEST_SKIP() << "needs AddressSanitizer";
  auto* piece = static_cast<volatile char*>(*heap_.Allocate(64));
  piece[63] = 1;
  heap_.Free(const_cast<char*>(piece), 64);
  EXPECT_DEATH(piece[63] = 2, "use-after-poison");
  EXPECT_EQ(*heap_.Allocate(64), piece);
  piece[63] = 3;  // reused, so legal again
}

/// The shape of a VMA with a reference count: see the opening of type_stable.h.
struct Slot {
  Atomic<uint32_t> refcount{0};
  Atomic<uint64_t> seq{0};
  uint64_t start = 0;

  [[maybe_unused]] void VisitStableFields(auto&& visit) {
    visit(refcount);
    visit(seq);
  }
};

using TypeStableTest = HeapTest;

TEST_F(TypeStableTest, ReusesTheSlotFreedLastFirst) {
  TypeStableSlab<Slot> slab(heap_);
  Slot* first = *slab.Allocate();
  Slot* second = *slab.Allocate();
  EXPECT_NE(first, second);
  slab.Free(first);
  slab.Free(second);
  EXPECT_EQ(*slab.Allocate(), second);
  EXPECT_EQ(*slab.Allocate(), first);
  slab.Free(first);
  slab.Free(second);
}

TEST_F(TypeStableTest, StableFieldsKeepTheirValuesOverReuse) {
  TypeStableSlab<Slot> slab(heap_);
  Slot* slot = *slab.Allocate();
  EXPECT_EQ(slot->refcount.Peek(), 0u);  // as constructed
  slot->seq.Store(41, kRelaxed);
  slab.Free(slot);
  EXPECT_EQ(slot->seq.Peek(), 41u);  // legal in a free slot, by design
  Slot* again = *slab.Allocate();
  ASSERT_EQ(again, slot);
  EXPECT_EQ(again->seq.FetchAdd(1, kRelaxed), 41u);
  EXPECT_EQ(again->refcount.Peek(), 0u);
  slab.Free(again);
}

TEST_F(TypeStableTest, FreeSlotIsNeverGivenToTheHeap) {
  TypeStableSlab<Slot> slab(heap_);
  Slot* slot = *slab.Allocate();
  slab.Free(slot);
  EXPECT_NE(*heap_.Allocate(sizeof(Slot)), static_cast<void*>(slot));
}

TEST_F(TypeStableTest, SlabGivesItsSlotsBackAtItsEnd) {
  Slot* slot = nullptr;
  {
    TypeStableSlab<Slot> slab(heap_);
    slot = *slab.Allocate();
    slab.Free(slot);
  }
  EXPECT_EQ(*heap_.Allocate(sizeof(Slot), alignof(Slot)), static_cast<void*>(slot));
}

TEST_F(TypeStableTest, FullHeapIsEnomem) {
  Arena small = *Arena::Create(kPageSize);
  Heap heap(small);
  TypeStableSlab<Slot> slab(heap);
  std::vector<Slot*> slots;
  while (true) {
    const Result<Slot*> slot = slab.Allocate();
    if (!slot.ok()) {
      EXPECT_EQ(slot.error(), Errno::kEnomem);
      break;
    }
    slots.push_back(*slot);
  }
  ASSERT_FALSE(slots.empty());
  slab.Free(slots.front());
  EXPECT_EQ(*slab.Allocate(), slots.front());
  for (Slot* slot : slots) slab.Free(slot);
}

}  // namespace
}  // namespace faultline
