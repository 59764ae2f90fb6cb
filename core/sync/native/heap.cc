// SPDX-License-Identifier: Apache-2.0
//
// The native object heap; see core/sync/heap.h.
#include "core/sync/heap.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"
#include "core/sync/guards.h"

#if FAULTLINE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Bytes of the piece that serves a request.
size_t PieceSize(size_t size, size_t align) {
  MM_CHECK(size > 0 && size <= Heap::kMaxPiece);
  return std::bit_ceil(std::max({size, align, size_t{16}}));
}

void Poison([[maybe_unused]] void* piece, [[maybe_unused]] size_t bytes) {
#if FAULTLINE_ASAN
  // The first word stays: it links the free list.
  __asan_poison_memory_region(static_cast<std::byte*>(piece) + sizeof(void*),
                              bytes - sizeof(void*));
#endif
}

void Unpoison([[maybe_unused]] void* piece, [[maybe_unused]] size_t bytes) {
#if FAULTLINE_ASAN
  __asan_unpoison_memory_region(piece, bytes);
#endif
}

}  // namespace

Heap::~Heap() {
#if FAULTLINE_ASAN
  // The poison would outlive the arena, and whoever maps these addresses next would meet it.
  for (size_t i = 0; i < free_.size(); ++i) {
    for (FreePiece* piece = free_[i]; piece != nullptr; piece = piece->next) {
      Unpoison(piece, size_t{1} << (i + kFirstClass));
    }
  }
#endif
}

Result<void*> Heap::Allocate(size_t size, size_t align, SourceLoc where) {
  const size_t bytes = PieceSize(size, align);
  if (InjectedFailure()) return Errno::kEnomem;
  const LockGuard guard(lock_, LockSubclass::kNormal, where);
  FreePiece*& head = free_[static_cast<size_t>(std::countr_zero(bytes) - kFirstClass)];
  if (head == nullptr) return arena_.Allocate(bytes, std::min(bytes, Arena::kMaxAlign));
  FreePiece* piece = std::exchange(head, head->next);
  Unpoison(piece, bytes);
  return static_cast<void*>(piece);
}

void Heap::Free(void* piece, size_t size, size_t align, SourceLoc where) {
  const size_t bytes = PieceSize(size, align);
  const LockGuard guard(lock_, LockSubclass::kNormal, where);
  FreePiece*& head = free_[static_cast<size_t>(std::countr_zero(bytes) - kFirstClass)];
  head = new (piece) FreePiece{head};
  Poison(piece, bytes);
}

}  // namespace faultline
