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

}  // namespace faultline
