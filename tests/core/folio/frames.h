// SPDX-License-Identifier: Apache-2.0
//
// A machine's memory for tests: a heap, CPUs, a frame allocator over them, and fault injection.

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/folio/frame_allocator.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Every frame is back by the time that it ends.
class TestFrames {
 public:
  explicit TestFrames(uint64_t frames, PageContents contents = PageContents::kTag,
                      uint32_t cpus = 1)
      : TestFrames(FrameAllocator::Options{.frames = frames, .contents = contents}, cpus) {}
  TestFrames(const FrameAllocator::Options& options, uint32_t cpus)
      : arena_(std::move(*Arena::Create(size_t{256} << 20))),
        heap_(arena_),
        cpus_(cpus),
        frames_(std::move(*FrameAllocator::Create(options, heap_, cpus_))) {
    frames_->SetFailPoints(&fail_points_);
  }

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] FailPoints& fail_points() { return fail_points_; }
  [[nodiscard]] FrameAllocator& operator*() { return *frames_; }
  [[nodiscard]] FrameAllocator* operator->() { return frames_.get(); }

  /// Allocates until there is nothing left.
  [[nodiscard]] std::vector<Folio*> AllocateAll() {
    std::vector<Folio*> all;
    for (;;) {
      const Result<Folio*> folio = frames_->Allocate(FrameUse::kAnon, Gfp::kKernel);
      if (!folio.ok()) return all;
      all.push_back(*folio);
    }
  }
  void PutAll(const std::vector<Folio*>& folios) {
    for (Folio* folio : folios) frames_->Put(*folio);
  }

 private:
  Arena arena_;
  Heap heap_;
  CpuSet cpus_;
  FailPoints fail_points_;
  FrameAllocator::Ptr frames_;
};

/// Allocates up to `most` frames and puts them all, in one go and one by one in turns, again and
/// again.
inline void FillAndEmpty(FrameAllocator& frames, Gfp gfp, int rounds, size_t most) {
  std::vector<Folio*> held;
  for (int i = 0; i < rounds; ++i) {
    const Result<Folio*> folio = frames.Allocate(FrameUse::kAnon, gfp);
    if (folio.ok()) held.push_back(*folio);
    if (folio.ok() && held.size() < most) continue;
    if (i % 2 == 0) {
      frames.PutAll(held);
    } else {
      for (Folio* each : held) frames.Put(*each);
    }
    held.clear();
  }
  frames.PutAll(held);
}

}  // namespace faultline
