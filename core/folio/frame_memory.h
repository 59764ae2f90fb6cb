// SPDX-License-Identifier: Apache-2.0
//
// Where Folios and the contents of frames lie (Linux: the memmap, and the direct map). Native: two
// reserved ranges, one of Folios and one of 4 KiB per frame; the system backs them where they are
// touched. Modelled: pieces of the run's heap, the 4 KiB of a frame taken and given back with the
// frame, so that every touch of a freed table or page is reported.
//
// Page tables have 4 KiB in both modes of contents, data pages only in `bytes` mode; the rest of
// the range is never touched. Invariant: a frame with contents_dirty_ false reads as zero (native).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/arena.h"
#include "core/base/build.h"
#include "core/base/owned.h"
#include "core/base/result.h"
#include "core/folio/folio.h"
#include "core/sync/atomic.h"
#include "core/sync/heap.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How the contents of data pages are kept.
enum class PageContents : uint8_t {
  kTag,    ///< one word per page: any load gives it, any store replaces it
  kBytes,  ///< every byte
};

/// The words of a page table.
using TableWords = std::array<Atomic<uint64_t>, 512>;

class FrameMemory {
 public:
  /// For `frames` frames. `heap` outlives it. ENOMEM if the address space does not allow it.
  [[nodiscard]] static Result<FrameMemory> Create(uint64_t frames, PageContents mode, Heap& heap);

  /// Raw memory for the Folios, by Pfn.
  [[nodiscard]] Folio* folios() const { return folios_; }
  [[nodiscard]] PageContents mode() const { return mode_; }

  /// Gives a frame that nobody else can reach the contents for `use`: zeroes for a table. ENOMEM
  /// (modelled) if the heap has none, or makes it fail.
  [[nodiscard]] Result<void> Attach(Folio& folio, FrameUse use, SourceLoc where) const {
    if (use != FrameUse::kTable && mode_ == PageContents::kTag) return Ok();
    return AttachWords(folio, use, where);
  }
  /// Takes them away before the frame is free.
  void Detach(Folio& folio, SourceLoc where) const {
    if (kDebugChecks && folio.use() == FrameUse::kTable) CheckZero(folio);
    if constexpr (kModelled) DetachWords(folio, where);
  }
  /// The contents of a frame that has some.
  [[nodiscard]] TableWords& WordsOf(const Folio& folio) const {
    const auto pfn = static_cast<size_t>(&folio - folios_);
    if constexpr (kModelled) {
      MM_CHECK(pieces_[pfn] != nullptr);
      return *static_cast<TableWords*>(pieces_[pfn]);
    }
    return *reinterpret_cast<TableWords*>(contents_ + pfn * kPageSize);
  }

 private:
  /// Gives an array back to the heap.
  struct ToHeap {
    Heap* heap;
    size_t bytes;
    void operator()(std::byte* piece) const noexcept { heap->Free(piece, bytes, kPageSize); }
  };
  using HeapArray = Owned<std::byte, ToHeap>;

  FrameMemory(PageContents mode, Heap& heap)
      : mode_(mode),
        heap_(&heap),
        folio_piece_(nullptr, ToHeap{&heap, 0}),
        pieces_piece_(nullptr, ToHeap{&heap, 0}) {}
  [[nodiscard]] Result<void> Reserve(uint64_t frames);
  [[nodiscard]] Result<void> ReserveInHeap(uint64_t frames);
  [[nodiscard]] Result<HeapArray> NewHeapArray(size_t bytes) const;
  [[nodiscard]] Result<void> AttachWords(Folio& folio, FrameUse use, SourceLoc where) const;
  void DetachWords(Folio& folio, SourceLoc where) const;
  void CheckZero(const Folio& folio) const;

  PageContents mode_;
  Heap* heap_;
  Folio* folios_ = nullptr;
  // Native.
  std::byte* contents_ = nullptr;
  std::optional<Arena> folio_arena_;
  std::optional<Arena> contents_arena_;
  // Modelled: each frame's 4 KiB, or null; and what to give back.
  void** pieces_ = nullptr;
  HeapArray folio_piece_;
  HeapArray pieces_piece_;
};

}  // namespace faultline
