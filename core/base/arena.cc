// SPDX-License-Identifier: Apache-2.0
//
// Arena on top of mmap: reserve, bump, take back.
//
// Memory is mapped without reserving swap for it, so that a Machine may reserve terabytes and pay
// only for what it touches. Chunks are aligned by their offset, which aligns the address as well
// because the base is page-aligned; so a chunk's offset does not depend on where the base is.
//
// Linux analogue: mm/memblock.c.
// Invariant: every byte ever written lies below used_, so zeroing that prefix restores all.

#include "core/base/arena.h"

#include <sys/mman.h>

#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

// Up to here Reset clears by memset: an explorer resets thousands of times per second and touches
// little, for which two page faults per page would dominate. Above, giving pages back is cheaper.
constexpr std::size_t kClearByHandBytes = std::size_t{1} << 20;

// What lies behind this is backed by huge pages where the system has them: trees and tables of that
// size are walked at random, and would miss the TLB at every step. What is small stays cheap to
// begin.
constexpr std::size_t kSmallPagesFirst = std::size_t{4} << 20;

}  // namespace

Result<Arena> Arena::Create(std::size_t capacity, std::uintptr_t base_hint) {
  MM_CHECK_GT(capacity, 0);
  MM_CHECK(IsPageAligned(std::uint64_t{base_hint}));
  const std::optional<std::uint64_t> bytes = PageAlignUp(std::uint64_t{capacity});
  if (!bytes) return Errno::kEnomem;
  void* base = mmap(reinterpret_cast<void*>(base_hint), *bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /*fd=*/-1, /*offset=*/0);
  if (base == MAP_FAILED) return Errno::kEnomem;
  if (*bytes > kSmallPagesFirst) {
    // What refuses has no huge pages, and does without.
    (void)madvise(static_cast<std::byte*>(base) + kSmallPagesFirst, *bytes - kSmallPagesFirst,
                  MADV_HUGEPAGE);
  }
  return Arena(Owned<std::byte, Unmap>(static_cast<std::byte*>(base), Unmap{*bytes}));
}

Result<void*> Arena::Allocate(std::size_t size, std::size_t align) {
  MM_CHECK_GT(size, 0);
  MM_CHECK(std::has_single_bit(align) && align <= kMaxAlign);
  // Neither sum can wrap: used_ and capacity() are far below 2^64 - kMaxAlign.
  const std::size_t offset = (used_ + (align - 1)) & ~(align - 1);
  if (offset > capacity() || size > capacity() - offset) return Errno::kEnomem;
  used_ = offset + size;
  return static_cast<void*>(memory_.get() + offset);
}

void Arena::Reset() {
  if (used_ <= kClearByHandBytes) {
    std::memset(memory_.get(), 0, used_);
  } else {
    // Private anonymous memory reads as zero after this.
    const int failed = madvise(memory_.get(), used_, MADV_DONTNEED);
    MM_CHECK_EQ(failed, 0);
  }
  used_ = 0;
}

bool Arena::Contains(const void* pointer) const noexcept {
  // As numbers: comparing pointers into different objects is unspecified.
  const auto base = reinterpret_cast<std::uintptr_t>(memory_.get());
  return reinterpret_cast<std::uintptr_t>(pointer) - base < capacity();
}

std::size_t Arena::OffsetOf(const void* pointer) const {
  MM_CHECK(Contains(pointer));
  return reinterpret_cast<std::uintptr_t>(pointer) -
         reinterpret_cast<std::uintptr_t>(memory_.get());
}

void Arena::Unmap::operator()(std::byte* base) const noexcept {
  const int failed = munmap(base, bytes);
  MM_CHECK_EQ(failed, 0);
}

}  // namespace faultline
