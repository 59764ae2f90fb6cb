// SPDX-License-Identifier: Apache-2.0
//
// Private to core/pgtable: what becomes of the present entries that are taken out of one PTE table
// (Linux: zap_present_ptes). Made after the table was locked and ended before the lock is dropped:
// counts are added once per table, and a shared dirty page is flushed inside the lock, since
// whoever takes it next may conclude that nobody writes to the page any more (M20).
#pragma once

#include <array>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/tlb_gather.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class EntryDropper {
 public:
  EntryDropper(PageTables& tables, TlbGather& gather) : tables_(tables), gather_(gather) {}
  ~EntryDropper() {
    if (flush_inside_) gather_.FlushTlb();
    for (size_t i = 0; i < dropped_.size(); ++i) {
      if (dropped_[i] != 0) tables_.counters().Add(static_cast<MmCounter>(i), -dropped_[i]);
    }
  }
  EntryDropper(const EntryDropper&) = delete;
  EntryDropper& operator=(const EntryDropper&) = delete;

  /// `entry`, which was present, has been taken out from `addr`. Takes over its reference.
  void Drop(VirtAddr addr, Entry entry) {
    gather_.NoteCleared(addr);
    if (entry.special()) return;
    Folio& folio = tables_.frames().FolioOf(entry.pfn());
    if (entry.dirty() && folio.use() == FrameUse::kFile) {
      folio.Set(kFolioDirty);
      flush_inside_ = true;
    }
    folio.RemoveMapping();
    ++dropped_[static_cast<size_t>(CounterOf(folio))];
    (void)gather_.AddFolio(folio);  // who drops asks the gather whether it is full
  }

 private:
  PageTables& tables_;
  TlbGather& gather_;
  std::array<int64_t, static_cast<size_t>(MmCounter::kCount)> dropped_{};
  bool flush_inside_ = false;
};

}  // namespace faultline
