// SPDX-License-Identifier: Apache-2.0
//
// TlbGather: what an unmapping operation takes out, kept until the TLBs are flushed (Linux:
// struct mmu_gather in mm/mmu_gather.c). Order: clear entries, flush, only then give folios and
// tables back (M15). Batches are allocated without sleeping; if that fails the gather flushes early
// and goes on, and tables are retired one by one.
//
// Two gathers may be at work on one mm under mmap or VMA read locks. One then finds entries empty
// that the other cleared and has not flushed, and would report them gone; so whoever ends while
// another one is at work flushes the whole mm (Linux: mm_tlb_flush_nested).
//
// Guarantee: no folio and no table reaches the allocator before the flush that covers it; tables,
// besides, not before a grace period (B38). Tables and batches of them are given back by RCU
// callbacks: whoever ends `frames` or `heap` calls Rcu::Barrier before.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/folio/frame_allocator.h"
#include "core/pgtable/tlb.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class TlbGather {
 public:
  /// Begins; everything referred to outlives it.
  TlbGather(FrameAllocator& frames, Heap& heap, TlbSet& tlbs, TlbContext& context);
  /// Finish was called.
  ~TlbGather();
  TlbGather(const TlbGather&) = delete;
  TlbGather& operator=(const TlbGather&) = delete;

  /// An entry for `addr` was cleared or lost permissions: it has to be flushed.
  void NoteCleared(VirtAddr addr);
  /// Takes over one reference of `folio`. Any lock may be held; if true, the gather is full and
  /// FlushNow has to be called as soon as the page-table lock is dropped.
  [[nodiscard]] bool AddFolio(Folio& folio);
  [[nodiscard]] bool full() const { return full_; }
  /// Takes over a table that is out of the tree and covered `addr` (free_tables.cc only). Any lock
  /// may be held.
  void AddTable(Folio& table, VirtAddr addr);

  /// Flushes what was noted so far, and gives nothing back. Legal under a page-table lock, for what
  /// must not be seen by who takes the lock next while an old translation is in use (M20).
  void FlushTlb();
  /// Flushes and gives back what was gathered so far. No page-table lock is held.
  void FlushNow();
  /// The same, at the end.
  void Finish();

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] FrameAllocator& frames() { return frames_; }

 private:
  static constexpr size_t kInlineFolios = 32;
  /// A gather holds at most this many batches of the heap's (Linux: MAX_GATHER_BATCH_COUNT).
  static constexpr uint32_t kMaxBatches = 16;

  struct FolioBatch;
  struct TableBatch;

  [[nodiscard]] bool AddBatch();
  void PutFolios();
  void RetireTables();
  void FreeBatches();
  static void FreeTableBatch(RcuHead* head);
  static void FreeTable(RcuHead* head);

  FrameAllocator& frames_;
  Heap& heap_;
  TlbSet& tlbs_;
  TlbContext& context_;

  // What is not flushed yet: [dirty_start_, dirty_end_).
  VirtAddr dirty_start_ = VirtAddr::Max();
  VirtAddr dirty_end_{0};

  std::array<Folio*, kInlineFolios> inline_folios_;
  uint32_t inline_count_ = 0;
  FolioBatch* batches_ = nullptr;  // the one in use first
  uint32_t batch_count_ = 0;
  TableBatch* tables_ = nullptr;  // the one in use first
  bool full_ = false;
  bool finished_ = false;
};

}  // namespace faultline
