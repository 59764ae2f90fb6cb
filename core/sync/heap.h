// SPDX-License-Identifier: Apache-2.0
//
// Where shared objects of a Machine come from (Linux: kmalloc over the slab allocator): pieces of
// the Machine's arena, so that their addresses repeat from run to run.
//
// Native: power-of-two size classes, each with a free list, under one spinlock; freed pieces are
// reused at once and poisoned for AddressSanitizer until then. Modelled: every piece is tracked,
// freed ones are poisoned and not reused within the run, and what is left at the end is a leak.
// Guarantee: a piece is aligned to its size class up to a page, hence never shares a cache line
// with another if it asks for one.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <utility>

#include <absl/base/thread_annotations.h>

#include "core/base/arena.h"
#include "core/base/build.h"
#include "core/base/result.h"
#include "core/sync/fail_points.h"
#include "core/sync/spin_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Heap {
 public:
  /// Largest piece, in bytes.
  static constexpr size_t kMaxPiece = size_t{1} << 20;

  /// `arena` outlives the heap and serves nobody else meanwhile.
  explicit Heap(Arena& arena) : arena_(arena) {}
  ~Heap();  // NOLINT(performance-trivially-destructible): tells AddressSanitizer, where there is
            // one
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// Lets `points`, which outlives the heap, make allocations fail. While nobody uses the heap.
  void SetFailPoints(FailPoints* points) { fail_points_ = points; }

  /// Whether an allocation that is about to be made here has to fail; for caches over the heap.
  [[nodiscard]] bool InjectedFailure() const {
    return fail_points_ != nullptr && fail_points_->ShouldFail(FailSite::kHeap);
  }

  /// A piece of at least `size` (1 to kMaxPiece) bytes, aligned to `align` (a power of two, at most
  /// a page); contents unspecified. ENOMEM when the arena is full, or by fault injection. Any
  /// context.
  [[nodiscard]] Result<void*> Allocate(size_t size, size_t align = alignof(std::max_align_t),
                                       SourceLoc where = SourceLoc::Current())
      ABSL_LOCKS_EXCLUDED(lock_);
  /// Gives a piece back; `size` is what it was asked for with. Any context.
  void Free(void* piece, size_t size, size_t align = alignof(std::max_align_t),
            SourceLoc where = SourceLoc::Current()) ABSL_LOCKS_EXCLUDED(lock_);

  /// A new T in a piece of its own; the caller owns it and gives it to Delete.
  template <class T, class... Args>
  [[nodiscard]] Result<T*> New(Args&&... args) {
    const Result<void*> piece = Allocate(sizeof(T), alignof(T));
    if (!piece.ok()) return piece.error();
    return new (*piece) T(std::forward<Args>(args)...);
  }
  template <class T>
  void Delete(T* object, SourceLoc where = SourceLoc::Current()) {
    object->~T();
    Free(object, sizeof(T), alignof(T), where);
  }

 private:
  static constexpr int kFirstClass = 4;  // 16 bytes
  static constexpr int kClasses = 21 - kFirstClass;
  struct FreePiece {
    FreePiece* next;
  };

  FailPoints* fail_points_ = nullptr;
  Arena& arena_ ABSL_GUARDED_BY(lock_);
  SpinLock<LockRank::kHeap> lock_;
  [[maybe_unused]] std::array<FreePiece*, kClasses> free_ ABSL_GUARDED_BY(lock_){};  // native
};

}  // namespace faultline
