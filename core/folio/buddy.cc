// SPDX-License-Identifier: Apache-2.0
//
// Splitting and joining of free blocks; see buddy.h. The rules are those of Linux's
// __rmqueue_smallest, expand and __free_one_page: the smallest block that is large enough is split,
// its upper halves stay free; a freed block is joined upwards as far as its buddies are free.
//
// Invariant: Folio::block_ is written here alone, under the zone lock, so that it may be read of a
// frame that somebody else uses.
#include "core/folio/buddy.h"

#include <algorithm>
#include <bit>
#include <new>

#include "core/base/check.h"
#include "core/sync/guards.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Buddy::Buddy(Folio* folios, uint64_t first, uint64_t end)
    : folios_(folios), end_(end), watermark_(first), free_frames_(end - first) {
  MM_CHECK_LE(first, end);
}

Buddy::~Buddy() {
  // The blocks end with the Folios that they lie in; lists must be empty when they go.
  const LockGuard guard(lock_);
  for (auto& list : lists_) {
    while (list.pop_front() != nullptr) {
    }
  }
}

Folio* Buddy::TakeLocked(uint32_t order) {
  MM_DCHECK_LE(order, kMaxOrder);
  for (;;) {
    for (uint32_t from = order; from <= kMaxOrder; ++from) {
      FreeBlock* block = lists_[from].front();
      if (block == nullptr) continue;
      Folio& folio = *block->folio;
      const auto pfn = static_cast<uint64_t>(&folio - folios_);
      UnlinkLocked(folio, from);
      while (from > order) {
        --from;
        LinkLocked(pfn + (uint64_t{1} << from), from);
      }
      free_frames_ -= uint64_t{1} << order;
      return &folio;
    }
    if (!GrowLocked()) return nullptr;
  }
}

void Buddy::GiveLocked(Folio& folio, uint32_t order) {
  auto pfn = static_cast<uint64_t>(&folio - folios_);
  MM_DCHECK(pfn < watermark_ && folio.block_ == 0);
  free_frames_ += uint64_t{1} << order;
  for (; order < kMaxOrder; ++order) {
    const uint64_t buddy = pfn ^ (uint64_t{1} << order);
    if (buddy >= watermark_ || folios_[buddy].block_ != order + 1) break;
    UnlinkLocked(folios_[buddy], order);
    pfn &= buddy;
  }
  LinkLocked(pfn, order);
}

/// Moves the watermark to the next boundary of largest blocks. False if it is at the end.
bool Buddy::GrowLocked() {
  if (watermark_ == end_) return false;
  constexpr uint64_t kBlock = uint64_t{1} << kMaxOrder;
  const uint64_t begin = watermark_;
  watermark_ = std::min((begin / kBlock + 1) * kBlock, end_);
  // Not value-initialised: the user bytes need no zeroes.
  for (uint64_t pfn = begin; pfn < watermark_; ++pfn) new (&folios_[pfn]) Folio;
  for (uint64_t pfn = begin; pfn < watermark_;) {
    const auto alignment = static_cast<uint32_t>(std::countr_zero(pfn));
    const auto fits = static_cast<uint32_t>(std::bit_width(watermark_ - pfn)) - 1;
    const uint32_t order = std::min({alignment, fits, kMaxOrder});
    LinkLocked(pfn, order);
    pfn += uint64_t{1} << order;
  }
  return true;
}

void Buddy::LinkLocked(uint64_t pfn, uint32_t order) {
  Folio& folio = folios_[pfn];
  FreeBlock& block = folio.Emplace<FreeBlock>();
  block.folio = &folio;
  folio.block_ = static_cast<uint8_t>(order + 1);
  lists_[order].push_front(block);
}

void Buddy::UnlinkLocked(Folio& folio, uint32_t order) {
  lists_[order].erase(folio.As<FreeBlock>());
  folio.block_ = 0;
}

uint64_t Buddy::CheckBlockLocked(const FreeBlock& block, uint32_t order) const {
  const auto pfn = static_cast<uint64_t>(block.folio - folios_);
  const uint64_t size = uint64_t{1} << order;
  MM_CHECK(pfn != 0 && pfn % size == 0 && pfn + size <= watermark_);
  MM_CHECK_EQ(block.folio->block_, order + 1);
  const uint64_t buddy = pfn ^ size;
  MM_CHECK(order == kMaxOrder || buddy >= watermark_ || folios_[buddy].block_ != order + 1);
  return pfn;
}

}  // namespace faultline
