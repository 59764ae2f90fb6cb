// SPDX-License-Identifier: Apache-2.0
//
// Page tables under every schedule within preemption bound 2: two tasks that allocate the same
// tables, an access beside a flush, and tables that are freed beside faults that lock out nobody.
// In the modelled build a touch of a freed table or page is reported, and whatever is not given
// back is a leak, so most scenarios need few checks of their own.

#include <functional>
#include <iostream>
#include <optional>

#include <gtest/gtest.h>

#include "core/pgtable/range_ops.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

constexpr uint64_t kBits = LeafBits(true, true, false);
constexpr VirtAddr kAddr{0x1234'4000'0000 - kPageSize};

[[nodiscard]] VirtRange Pages(VirtAddr start, uint64_t count) {
  return {start, start + count * kPageSize};
}

/// A machine and one mm, in memory of the run's. Ends itself by RCU, after the tables that it
/// retired.
struct State : RcuHead {
  explicit State(Execution& run)
      : heap(run.heap()),
        frames(
            *FrameAllocator::Create({.frames = 32, .contents = PageContents::kBytes}, heap, cpus)),
        tlbs(cpus),
        counters(cpus),
        tables(std::in_place, *frames, counters, 4u) {
    context.tag = AddressTag(1);
    MM_CHECK(tables->Init().ok());
  }

  /// A page that is mapped as after a fault.
  void Map(VirtAddr addr) { MapFolio(addr, **frames->Allocate(FrameUse::kAnon, Gfp::kKernel)); }
  void MapFolio(VirtAddr addr, Folio& folio) {
    folio.AddMapping();
    counters.Add(CounterOf(folio), 1);
    const EntryRef pmd = *tables->AllocPmd(addr, Gfp::kKernel);
    MM_CHECK(tables->AllocPte(pmd, Gfp::kKernel).ok());
    LockedPte(*tables, pmd, addr).Store(Entry::Of(frames->PfnOf(folio), kBits));
  }
  /// What an MMU does: reads the word at `addr`; false on a fault.
  bool Access(VirtAddr addr) {
    TlbSet::Access access(tlbs, context);
    Entry entry = access.Find(PageOf(addr));
    if (entry.none()) {
      const RcuGuard guard;
      entry = tables->Translate(addr);
      if (entry.present()) access.Insert(PageOf(addr), entry);
    }
    if (!entry.present()) return false;
    (void)frames->LoadWord(frames->FolioOf(entry.pfn()), 0);  // reported if the page is free
    return true;
  }
  /// Faults a special entry in; `still_valid` is asked under each lock. False: it said no, or the
  /// tables changed.
  template <class StillValid>
  bool Fault(VirtAddr addr, const StillValid& still_valid) {
    const RcuGuard guard;
    PageTables::Descent descent = tables->Descend(addr);
    while (!descent.has_pte_table()) {
      SpareTable fresh = *tables->AllocSpare(Below(descent.level), Gfp::kNowait);
      switch (tables->Wire(descent.entry, fresh, still_valid)) {
        case PageTables::Wiring::kStray:
        case PageTables::Wiring::kInvalid:
          return false;
        default:
          descent = tables->Descend(addr);
      }
    }
    LockedPte pte(*tables, descent.entry, addr);
    if (!pte || !still_valid()) return false;
    if (pte.Load().none()) pte.Store(Entry::Of(frames->zero_pfn(), kBits | Entry::kSpecial));
    return true;
  }
  void Zap(VirtRange range, ZapOptions options) {
    TlbGather gather(*frames, heap, tlbs, context);
    ZapRange(*tables, gather, range, options);
    gather.Finish();
  }
  void ZapAndFree(VirtRange range, VirtAddr floor, VirtAddr ceiling) {
    TlbGather gather(*frames, heap, tlbs, context);
    ZapRange(*tables, gather, range, {.drop_markers = true});
    FreeTables(*tables, gather, range, floor, ceiling);
    gather.Finish();
  }
  /// Ends everything; what is left over then is a leak.
  void End() {
    tables->Validate();
    ZapAndFree({VirtAddr(0), tables->task_size()}, VirtAddr(0), VirtAddr(0));
    MM_CHECK_EQ(counters.Sum(MmCounter::kTables), 1);
    MM_CHECK_EQ(counters.Rss(), 0);
    tables.reset();
    Rcu::Retire(*this, [](RcuHead* head) {
      auto* self = static_cast<State*>(head);
      MM_CHECK_EQ(self->frames->free_frames(), self->frames->total_frames());
      self->~State();
    });
  }

  Heap& heap;
  CpuSet cpus{2};
  FrameAllocator::Ptr frames;
  TlbSet tlbs;
  TlbContext context;
  MmCounters counters;
  std::optional<PageTables> tables;
  Atomic<uint32_t> marked{0};
};

void ExpectCleanAtBoundTwo(const Execution::Body& body) {
  const SearchResult result = Explore(SubjectFor(body), {.bound = 2, .max_schedules = 2'000'000});
  if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
  EXPECT_TRUE(result.complete);
  EXPECT_GT(result.schedules, 1u);
  std::cout << result.Summary({.bound = 2}) << ", longest " << result.longest << "\n";
}

/// check(state) runs when all tasks have ended, before everything is taken down.
State* NewState(Execution& run, const std::function<void(State&)>& check = [](State&) {}) {
  auto* state = run.New<State>(run);
  run.AtEnd([state, check] {
    check(*state);
    state->End();
  });
  return state;
}

constexpr auto kAlways = [] { return true; };

TEST(PageTablesExploreTest, TwoTasksFillTheSameEmptyEntries) {
  ExpectCleanAtBoundTwo([](Execution& run) {
    State* state = NewState(run, [](State& end) {
      for (uint64_t i = 0; i < 2; ++i) {
        MM_CHECK(end.tables->Translate(kAddr - i * kPageSize).present());
      }
      MM_CHECK_EQ(end.counters.Sum(MmCounter::kTables), 4);
    });
    for (uint64_t i = 0; i < 2; ++i) {
      run.Spawn("faulter", [state, i] { MM_CHECK(state->Fault(kAddr - i * kPageSize, kAlways)); });
    }
  });
}

TEST(TlbExploreTest, NoAccessUsesATranslationAfterTheFlush) {
  ExpectCleanAtBoundTwo([](Execution& run) {
    State* state = NewState(run);
    state->Map(kAddr);
    for (int i = 0; i < 2; ++i) {
      run.Spawn("accessor", [state] {
        (void)state->Access(kAddr);
        (void)state->Access(kAddr);
      });
    }
    run.Spawn("flusher", [state] { state->Zap(Pages(kAddr, 1), {}); });
  });
}

TEST(TlbExploreTest, AZapThatFindsAnEntryGoneHasFlushedItWhenItReturns) {
  ExpectCleanAtBoundTwo([](Execution& run) {
    State* state = NewState(run);
    state->Map(kAddr);
    MM_CHECK(state->Access(kAddr));  // cached on one CPU
    for (int i = 0; i < 2; ++i) {
      run.Spawn("zapper", [state] {
        state->Zap(Pages(kAddr, 1), {});
        for (uint32_t cpu = 0; cpu < 2; ++cpu) MM_CHECK(!state->Access(kAddr));
      });
    }
  });
}

/// A zapper without a write protocol (B40a): one page, and then the table if that was the last one.
void ZapAndTryFree(State& state) {
  TlbGather gather(*state.frames, state.heap, state.tlbs, state.context);
  ZapRange(*state.tables, gather, Pages(kAddr, 1), {});
  (void)TryFreeEmptyPteTable(*state.tables, gather, state.tables->FindPmd(kAddr), kAddr);
  gather.Finish();
}

TEST(PageTablesExploreTest, AZapThatFreesATableBesideAFaultThatFillsIt) {
  ExpectCleanAtBoundTwo([](Execution& run) {
    State* state = NewState(run);
    state->Map(kAddr);
    run.Spawn("zapper", [state] { ZapAndTryFree(*state); });
    run.Spawn("faulter", [state] {
      // As a fault does that is told to look again.
      while (!state->Fault(kAddr - kPageSize, kAlways)) {
      }
      MM_CHECK(state->tables->Translate(kAddr - kPageSize).present());
    });
  });
}

void FreeTableBesideAWalk(Execution& run) {
  State* state = NewState(run);
  state->Map(kAddr);
  run.Spawn("zapper", [state] { ZapAndTryFree(*state); });
  // Not by Access: its lock alone would keep the table, for the flush waits for it.
  run.Spawn("walker", [state] {
    const RcuGuard guard;
    (void)state->tables->Translate(kAddr);
  });
}

TEST(PageTablesExploreTest, AZapThatFreesATableBesideAWalk) {
  ExpectCleanAtBoundTwo(FreeTableBesideAWalk);
}

TEST(PageTablesExploreTest, AWalkBesideAZapFindsAMissingGracePeriod) {
  SearchSubject subject = SubjectFor(FreeTableBesideAWalk);
  subject.mutant = Mutant::kFreeWithoutGracePeriod;
  const SearchResult result = Explore(subject, {.bound = 2});
  ASSERT_TRUE(result.finding.has_value());
  EXPECT_EQ(result.finding->violation.kind, ViolationKind::kUseAfterFree) << result.finding->table;
}

/// Whether the page is write-protected before it is zapped.
void ZapBesideAWrite(Execution& run, bool protect) {
  struct Shared {
    Folio* folio = nullptr;
    bool written = false;
  };
  auto* shared = run.New<Shared>();
  State* state = NewState(run, [shared](State& end) {
    MM_CHECK_EQ(shared->folio->Has(kFolioDirty), shared->written);
    end.frames->Put(*shared->folio);
  });
  shared->folio = *state->frames->Allocate(FrameUse::kFile, Gfp::kKernel);
  shared->folio->Get();
  state->MapFolio(kAddr, *shared->folio);
  run.Spawn("writer", [state, shared] {
    const RcuGuard guard;
    const EntryRef pte = state->tables->FindPte(kAddr);
    const Entry seen = pte ? pte.Load() : Entry();
    if (!seen.present() || !seen.writable()) return;
    uint64_t expected = seen.raw();
    shared->written =
        pte.slot->CompareExchange(expected, seen.With(Entry::kDirty).raw(), kAcqRel, kRelaxed);
  });
  run.Spawn("zapper", [state, protect] {
    TlbGather gather(*state->frames, state->heap, state->tlbs, state->context);
    if (protect) {
      ProtectRange(*state->tables, gather, Pages(kAddr, 1), LeafBits(true, false, false));
    }
    ZapRange(*state->tables, gather, Pages(kAddr, 1), {});
    gather.Finish();
  });
}

TEST(PageTablesExploreTest, TheDirtyBitOfAWriteBesideAZapReachesTheFolio) {
  ExpectCleanAtBoundTwo([](Execution& run) { ZapBesideAWrite(run, /*protect=*/false); });
}

TEST(PageTablesExploreTest, TheDirtyBitOfAWriteBesideAProtectionReachesTheFolio) {
  ExpectCleanAtBoundTwo([](Execution& run) { ZapBesideAWrite(run, /*protect=*/true); });
}

/// A writer marks and takes a mapping down; a fault that asks whether it is marked must not leave
/// anything in the hole. A neighbour in the same PMD table, or none.
void UnmapBesideAFault(Execution& run, bool neighbour) {
  State* state = NewState(run, [neighbour](State& end) {
    MM_CHECK_EQ(end.counters.Sum(MmCounter::kTables), neighbour ? 4 : 1);
  });
  const VirtAddr next = kAddr - 2 * kPmdSize;
  if (neighbour) state->Map(next);
  run.Spawn("faulter", [state] {
    (void)state->Fault(kAddr, [state] { return state->marked.Load(kAcquire) == 0; });
  });
  run.Spawn("writer", [state, neighbour, next] {
    state->marked.Store(1, kRelease);
    state->ZapAndFree(Pages(kAddr, 1), neighbour ? next + kPageSize : VirtAddr(0), VirtAddr(0));
    // No table wholly inside the hole.
    MM_CHECK(state->tables->Translate(kAddr).none());
  });
}

TEST(FreeTablesExploreTest, AValidatingFaultLeavesNothingInTheHole) {
  ExpectCleanAtBoundTwo([](Execution& run) { UnmapBesideAFault(run, /*neighbour=*/false); });
}

TEST(FreeTablesExploreTest, AValidatingFaultLeavesNothingInTheHoleBesideANeighbour) {
  ExpectCleanAtBoundTwo([](Execution& run) { UnmapBesideAFault(run, /*neighbour=*/true); });
}

}  // namespace
}  // namespace faultline
