// SPDX-License-Identifier: Apache-2.0
//
// Arena: one contiguous range of the process's memory, handed out front to back.
//
// All shared objects of a Machine come from its arena. Allocation depends on nothing but the
// sequence of requests, so that offsets, and with a free base hint addresses, repeat from run to
// run; with them repeat hash orders, cache lines and whole schedules. Chunks are never freed one by
// one: users keep free lists of their own, and Reset gives all back at once. The range is reserved,
// not populated: an untouched page of it costs nothing; a large arena is backed by huge pages
// behind its first megabytes. Not thread-safe: belongs to its owner's lock.
//
// Linux analogue: memblock, the allocator that exists before the others.
// Invariant: bytes [used(), capacity()) read as zero; used() never decreases but by Reset.

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/base/build.h"
#include "core/base/owned.h"
#include "core/base/result.h"
#include "core/base/types.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A reserved range of memory and how much of its front is handed out. Move-only; a moved-from
/// arena may only be destroyed or assigned to.
class Arena {
 public:
  /// The strictest alignment that Allocate gives.
  static constexpr std::size_t kMaxAlign = kPageSize;

  /// Reserves `capacity` bytes (more than 0; rounded up to pages), anywhere, or at `base_hint`
  /// (page aligned) if that place is free; a hint that cannot be had is ignored. kEnomem when the
  /// system refuses the reservation.
  [[nodiscard]] static Result<Arena> Create(std::size_t capacity, std::uintptr_t base_hint = 0);

  /// The next `size` bytes (more than 0), aligned to `align` (a power of two up to kMaxAlign),
  /// reading as zero. They stay valid until Reset or the arena's end. kEnomem when it is full,
  /// which changes nothing. Objects placed in them are the caller's to destroy.
  [[nodiscard]] Result<void*> Allocate(std::size_t size, std::size_t align);

  /// Takes everything back and zeroes it: all pointers into the arena die, and the next run of
  /// requests gets the same places. Costs time in proportion to used().
  void Reset();

  /// True when `pointer` points into the reserved range, handed out or not.
  [[nodiscard]] bool Contains(const void* pointer) const noexcept;

  /// Distance of `pointer` from the arena's base: the same in each run. Checked: Contains(pointer).
  [[nodiscard]] std::size_t OffsetOf(const void* pointer) const;

  /// Bytes handed out since creation or Reset, gaps of alignment included.
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

  /// Bytes reserved.
  [[nodiscard]] std::size_t capacity() const noexcept { return memory_.get_deleter().bytes; }

 private:
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(std::byte* base) const noexcept;
  };

  explicit Arena(Owned<std::byte, Unmap> memory) noexcept : memory_(std::move(memory)) {}

  Owned<std::byte, Unmap> memory_;
  std::size_t used_ = 0;
};

}  // namespace faultline
