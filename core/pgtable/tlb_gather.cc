// SPDX-License-Identifier: Apache-2.0
//
// Implementation of tlb_gather.h (Linux: mm/mmu_gather.c). Folios go into 32 places of the gather
// itself and then into batches of a page each. Tables go into batches that carry the RcuHead for
// all of them; without memory for one, the flush is made at once and the table retired by its own
// RcuHead (Linux: tlb_remove_table_one).
#include "core/pgtable/tlb_gather.h"

#include <algorithm>
#include <utility>

#include "core/pgtable/page_tables.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct TlbGather::FolioBatch {
  explicit FolioBatch(FolioBatch* next_batch)
      : next(next_batch) {}  // leaves the places as they are
  FolioBatch* next;
  uint32_t count = 0;
  std::array<Folio*, kPageSize / 8 - 2> folios;
};

struct TlbGather::TableBatch : RcuHead {
  TableBatch(FrameAllocator& all_frames, Heap& own_heap, TableBatch* next_batch)
      : frames(all_frames), heap(own_heap), next(next_batch) {}
  FrameAllocator& frames;
  Heap& heap;
  TableBatch* next;
  uint32_t count = 0;
  std::array<Folio*, kPageSize / 8 - 7> tables;
};

TlbGather::TlbGather(FrameAllocator& frames, Heap& heap, TlbSet& tlbs, TlbContext& context)
    : frames_(frames), heap_(heap), tlbs_(tlbs), context_(context) {
  static_assert(sizeof(FolioBatch) == kPageSize && sizeof(TableBatch) <= kPageSize);
  // Relaxed: who finds an entry that this gather cleared has synchronized with it, by the lock of
  // the table or by reading the cleared upper entry, and thereby sees this count, too.
  context_.gathers.FetchAdd(1, kRelaxed);
}

TlbGather::~TlbGather() { MM_CHECK(finished_); }

void TlbGather::NoteCleared(VirtAddr addr) {
  dirty_start_ = std::min(dirty_start_, PageAlignDown(addr));
  dirty_end_ = std::max(dirty_end_, PageAlignDown(addr) + kPageSize);
}

bool TlbGather::AddFolio(Folio& folio) {
  MM_CHECK(!full_);
  if (inline_count_ < kInlineFolios) {
    inline_folios_[inline_count_++] = &folio;
    if (inline_count_ == kInlineFolios) full_ = !AddBatch();
    return full_;
  }
  batches_->folios[batches_->count++] = &folio;
  if (batches_->count == batches_->folios.size()) full_ = !AddBatch();
  return full_;
}

/// Makes room for more folios; false if there is none.
bool TlbGather::AddBatch() {
  if (batch_count_ == kMaxBatches) return false;
  const Result<FolioBatch*> batch = heap_.New<FolioBatch>(batches_);
  if (!batch.ok()) return false;
  batches_ = *batch;
  ++batch_count_;
  return true;
}

void TlbGather::AddTable(Folio& table, VirtAddr addr) {
  NoteCleared(addr);
  if (tables_ == nullptr || tables_->count == tables_->tables.size()) {
    const Result<TableBatch*> batch = heap_.New<TableBatch>(frames_, heap_, tables_);
    if (!batch.ok()) {
      FlushTlb();
      Rcu::Retire(PageTables::InfoOf(table), &FreeTable);
      return;
    }
    tables_ = *batch;
  }
  tables_->tables[tables_->count++] = &table;
}

void TlbGather::FlushTlb() {
  if (dirty_start_ >= dirty_end_) return;
  tlbs_.Flush(context_, {dirty_start_, dirty_end_});
  dirty_start_ = VirtAddr::Max();
  dirty_end_ = VirtAddr(0);
}

void TlbGather::FlushNow() {
  if (MutantOn(Mutant::kM15)) PutFolios();
  FlushTlb();
  PutFolios();
  FreeBatches();
  RetireTables();
}

void TlbGather::Finish() {
  MM_CHECK(!finished_);
  // Acquire pairs with the release below of a gather that ended meanwhile: its flush is done.
  if (context_.gathers.Load(kAcquire) > 1) {
    dirty_start_ = VirtAddr(0);
    dirty_end_ = PageAlignDown(VirtAddr::Max());
  }
  FlushNow();
  context_.gathers.FetchSub(1, kRelease);  // after the flush; pairs with the load above
  finished_ = true;
}

void TlbGather::PutFolios() {
  frames_.PutAll({inline_folios_.data(), inline_count_});
  inline_count_ = 0;
  full_ = false;
  for (FolioBatch* batch = batches_; batch != nullptr; batch = batch->next) {
    frames_.PutAll({batch->folios.data(), batch->count});
  }
}

void TlbGather::FreeBatches() {
  while (batches_ != nullptr) heap_.Delete(std::exchange(batches_, batches_->next));
  batch_count_ = 0;
}

void TlbGather::RetireTables() {
  // B14: the alternative to deferring. Nobody's section that could hold up the caller is waited
  // for: it holds locks that no section takes.
  if (context_.frees_synchronously && tables_ != nullptr) Rcu::Synchronize();
  while (tables_ != nullptr) {
    TableBatch& batch = *std::exchange(tables_, tables_->next);
    if (context_.frees_synchronously) {
      FreeTableBatch(&batch);
    } else {
      Rcu::Retire(batch, &FreeTableBatch);
    }
  }
}

void TlbGather::FreeTableBatch(RcuHead* head) {
  auto* batch = static_cast<TableBatch*>(head);
  for (uint32_t i = 0; i < batch->count; ++i) batch->frames.Put(*batch->tables[i]);
  batch->heap.Delete(batch);
}

void TlbGather::FreeTable(RcuHead* head) {
  const auto* info = static_cast<TableInfo*>(head);
  FrameAllocator& frames = *info->frames;
  // Folios are one array, so whichever bytes of a Folio the address is in, division finds it.
  const Folio& first = frames.FolioOf(Pfn(0));
  const auto distance = reinterpret_cast<uintptr_t>(info) - reinterpret_cast<uintptr_t>(&first);
  frames.Put(frames.FolioOf(Pfn(distance / sizeof(Folio))));
}

}  // namespace faultline
