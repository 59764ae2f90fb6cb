// SPDX-License-Identifier: Apache-2.0
//
// Reserving the memory behind frames, and cleaning it for page tables; see frame_memory.h. Linux
// clears a table's page when it allocates it (__GFP_ZERO); here a frame whose 4 KiB no data page
// has used since they were zero is left alone but for one word. That is what makes tables cheap:
// they have been through a grace period, so their memory is cold, and clearing it would cost more
// than all else.
//
// Invariant: plain writes go only to frames that nobody else can reach.
#include "core/folio/frame_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Result<FrameMemory> FrameMemory::Create(uint64_t frames, PageContents mode, Heap& heap) {
  FrameMemory memory(mode, heap);
  if constexpr (kModelled) {
    MM_TRY(memory.ReserveInHeap(frames));
  } else {
    MM_TRY(memory.Reserve(frames));
  }
  return memory;
}

Result<void> FrameMemory::Reserve(uint64_t frames) {
  if (frames > (uint64_t{1} << 47) / kPageSize) return Errno::kEnomem;  // behind user space
  const size_t folio_bytes = frames * sizeof(Folio);
  const size_t contents_bytes = frames * kPageSize;
  MM_ASSIGN_OR_RETURN(folio_arena_, Arena::Create(folio_bytes));
  MM_ASSIGN_OR_RETURN(contents_arena_, Arena::Create(contents_bytes));
  MM_ASSIGN_OR_RETURN(void* folios, folio_arena_->Allocate(folio_bytes, kCacheLine));
  MM_ASSIGN_OR_RETURN(void* contents, contents_arena_->Allocate(contents_bytes, kPageSize));
  folios_ = static_cast<Folio*>(folios);
  contents_ = static_cast<std::byte*>(contents);
  if (mode_ == PageContents::kTag) {
    // Tables lie scattered among data pages without contents: a huge page for each would cost 512
    // times what is used. A system that has no huge pages refuses, rightly.
    (void)madvise(contents_, contents_bytes, MADV_NOHUGEPAGE);
  }
  return Ok();
}

Result<void> FrameMemory::ReserveInHeap(uint64_t frames) {
  MM_ASSIGN_OR_RETURN(folio_piece_, NewHeapArray(frames * sizeof(Folio)));
  MM_ASSIGN_OR_RETURN(pieces_piece_, NewHeapArray(frames * sizeof(void*)));
  folios_ = reinterpret_cast<Folio*>(folio_piece_.get());
  pieces_ = new (pieces_piece_.get()) void*[frames]();
  return Ok();
}

Result<FrameMemory::HeapArray> FrameMemory::NewHeapArray(size_t bytes) const {
  MM_ASSIGN_OR_RETURN(void* piece, heap_->Allocate(bytes, kPageSize));
  return HeapArray(static_cast<std::byte*>(piece), ToHeap{heap_, bytes});
}

Result<void> FrameMemory::AttachWords(Folio& folio, FrameUse use, SourceLoc where) const {
  if constexpr (kModelled) {
    MM_ASSIGN_OR_RETURN(pieces_[&folio - folios_], heap_->Allocate(kPageSize, kPageSize, where));
    folio.contents_dirty_ = true;
  }
  if (use != FrameUse::kTable) {
    folio.contents_dirty_ = true;
  } else if (folio.contents_dirty_) {
    std::memset(static_cast<void*>(&WordsOf(folio)), 0, kPageSize);
    folio.contents_dirty_ = false;
  } else {
    // It may be the first touch ever, and must be a store: after a load, the system would have its
    // shared page of zeroes there, and exchange it at the first store while it interrupts every CPU
    // that this process runs on. Relaxed: nobody else can reach it.
    WordsOf(folio)[0].Store(0, kRelaxed, where);
  }
  return Ok();
}

/// A table is taken down entry by entry, so it comes back as clean as it was handed out.
void FrameMemory::CheckZero(const Folio& folio) const {
  for (const Atomic<uint64_t>& word : WordsOf(folio)) MM_CHECK_EQ(word.Peek(), 0u);
}

void FrameMemory::DetachWords(Folio& folio, SourceLoc where) const {
  void*& piece = pieces_[&folio - folios_];
  if (piece != nullptr) {
    heap_->Free(std::exchange(piece, nullptr), kPageSize, kPageSize, where);
  }
}

}  // namespace faultline
