// SPDX-License-Identifier: Apache-2.0
//
// What a frame costs: Allocate and Put of one, as a fault and an unmapping do, and of many in a
// row, where frames move between the CPU's list and the buddy; with what zeroing the page adds.
//
//   folio_bench [--benchmark_...]
//
// Alone and with 2 threads on CPUs of their own, in both modes of contents; and with watermarks on,
// far from them, beside watermarks off.
#include <cstdint>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/folio/frame_allocator.h"
#include "core/sync/sync.h"

namespace faultline::bench {
namespace {

class Machine {
 public:
  explicit Machine(PageContents contents, uint64_t min_free_frames = 0)
      : arena_(std::move(*Arena::Create(size_t{1} << 20))),
        heap_(arena_),
        cpus_(64),
        frames_(std::move(*FrameAllocator::Create(
            {.frames = uint64_t{1} << 18, .contents = contents, .min_free_frames = min_free_frames},
            heap_, cpus_))) {}

  [[nodiscard]] FrameAllocator& frames() { return *frames_; }

 private:
  Arena arena_;
  Heap heap_;
  CpuSet cpus_;
  FrameAllocator::Ptr frames_;
};

enum class Marks : uint8_t { kOff, kOn };

/// In mode kTag.
template <Marks kMarks>
FrameAllocator& FramesWith() {
  static Machine machine(PageContents::kTag, kMarks == Marks::kOn ? 1024 : 0);
  return machine.frames();
}

FrameAllocator& FramesOf(PageContents contents) {
  static Machine bytes(PageContents::kBytes);
  return contents == PageContents::kTag ? FramesWith<Marks::kOff>() : bytes.frames();
}

template <PageContents kContents, FrameUse kUse>
void AllocatePut(benchmark::State& state) {
  FrameAllocator& frames = FramesOf(kContents);
  for (auto _ : state) {
    const Result<Folio*> folio = frames.Allocate(kUse, Gfp::kKernel);
    benchmark::DoNotOptimize(*folio);
    frames.Put(**folio);
  }
}

void AllocatePutMarked(benchmark::State& state) {
  FrameAllocator& frames = FramesWith<Marks::kOn>();
  for (auto _ : state) {
    const Result<Folio*> folio = frames.Allocate(FrameUse::kAnon, Gfp::kKernel);
    benchmark::DoNotOptimize(*folio);
    frames.Put(**folio);
  }
}

template <PageContents kContents>
void AllocateZeroPut(benchmark::State& state) {
  FrameAllocator& frames = FramesOf(kContents);
  for (auto _ : state) {
    const Result<Folio*> folio = frames.Allocate(FrameUse::kAnon, Gfp::kKernel);
    frames.Zero(**folio);
    frames.Put(**folio);
  }
}

/// Per frame: `range` frames are allocated, then all are freed.
template <Marks kMarks>
void AllocateManyPutMany(benchmark::State& state) {
  FrameAllocator& frames = FramesWith<kMarks>();
  std::vector<Folio*> folios(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    for (Folio*& folio : folios) folio = *frames.Allocate(FrameUse::kAnon, Gfp::kKernel);
    for (Folio* folio : folios) frames.Put(*folio);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

constexpr auto kTag = PageContents::kTag;
constexpr auto kBytes = PageContents::kBytes;
BENCHMARK(AllocatePut<kTag, FrameUse::kAnon>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(AllocatePutMarked)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(AllocatePut<kTag, FrameUse::kTable>);
BENCHMARK(AllocatePut<kBytes, FrameUse::kAnon>);
BENCHMARK(AllocateZeroPut<kTag>);
BENCHMARK(AllocateZeroPut<kBytes>);
BENCHMARK(AllocateManyPutMany<Marks::kOff>)->Arg(16)->Arg(512)->Arg(65536);
BENCHMARK(AllocateManyPutMany<Marks::kOn>)->Arg(16)->Arg(512)->Arg(65536);

}  // namespace
}  // namespace faultline::bench

BENCHMARK_MAIN();
