// SPDX-License-Identifier: Apache-2.0
//
// For tests of core/pgtable: a machine's memory with TLBs, and mms that are nothing but page
// tables, counters and a TLB context. TableWorld checks in the end that every frame has come back.

#pragma once

#include <memory>
#include <optional>

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/range_ops.h"
#include "core/pgtable/tlb.h"
#include "core/pgtable/tlb_gather.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

inline constexpr uint64_t kWritableBits = LeafBits(true, true, false);
inline constexpr uint64_t kReadOnlyBits = LeafBits(true, false, false);

/// What all mms share.
class TableWorld {
 public:
  struct Options {
    uint64_t frames = 8192;
    uint32_t cpus = 2;
    PageContents contents = PageContents::kTag;
  };

  TableWorld() : TableWorld(Options()) {}
  explicit TableWorld(const Options& options)
      : arena_(std::move(*Arena::Create(size_t{256} << 20))),
        heap_(arena_),
        cpus_(options.cpus),
        frames_(*FrameAllocator::Create({options.frames, options.contents}, heap_, cpus_)),
        tlbs_(cpus_),
        free_at_start_(frames_->free_frames()) {}
  ~TableWorld() {
    Rcu::Barrier();
    EXPECT_EQ(frames_->free_frames(), free_at_start_);
    frames_->Validate();
  }
  TableWorld(const TableWorld&) = delete;
  TableWorld& operator=(const TableWorld&) = delete;

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] const CpuSet& cpus() const { return cpus_; }
  [[nodiscard]] FrameAllocator& frames() { return *frames_; }
  [[nodiscard]] TlbSet& tlbs() { return tlbs_; }
  [[nodiscard]] uint64_t next_tag() { return ++tag_; }
  /// A data page with one reference, the caller's.
  [[nodiscard]] Folio& NewFolio(FrameUse use) {
    const Result<Folio*> folio = frames_->Allocate(use, Gfp::kKernel);
    MM_CHECK(folio.ok());
    return **folio;
  }

 private:
  Arena arena_;
  Heap heap_;
  CpuSet cpus_;
  FrameAllocator::Ptr frames_;
  TlbSet tlbs_;
  uint64_t free_at_start_;
  uint64_t tag_ = 0;
};

/// One mm's tables. Ends by zapping and freeing everything.
class TestMm {
 public:
  explicit TestMm(TableWorld& world, uint32_t levels = 4)
      : world_(world), counters_(world.cpus()), tables_(world.frames(), counters_, levels) {
    context_.tag = AddressTag(world.next_tag());
    MM_CHECK(tables_.Init().ok());
  }
  ~TestMm() {
    Unmap();
    tables_.Validate();
    EXPECT_EQ(counters_.Sum(MmCounter::kTables), 1);
    EXPECT_EQ(counters_.Rss(), 0);
  }
  TestMm(const TestMm&) = delete;
  TestMm& operator=(const TestMm&) = delete;

  [[nodiscard]] PageTables& tables() { return tables_; }
  [[nodiscard]] MmCounters& counters() { return counters_; }
  [[nodiscard]] TlbContext& context() { return context_; }
  [[nodiscard]] VirtRange everything() const { return {VirtAddr(0), tables_.task_size()}; }

  /// Calls op(gather) and finishes the gather.
  template <class Op>
  auto WithGather(const Op& op) {
    TlbGather gather(world_.frames(), world_.heap(), world_.tlbs(), context_);
    if constexpr (std::is_void_v<decltype(op(gather))>) {
      op(gather);
      gather.Finish();
    } else {
      auto result = op(gather);
      gather.Finish();
      return result;
    }
  }
  void Zap(VirtRange range, ZapOptions options = {}) {
    WithGather([&](TlbGather& gather) { ZapRange(tables_, gather, range, options); });
  }
  void Free(VirtRange range, VirtAddr floor, VirtAddr ceiling) {
    WithGather([&](TlbGather& gather) { FreeTables(tables_, gather, range, floor, ceiling); });
  }
  /// Ends all mappings.
  void Unmap() {
    Zap(everything(), {.drop_markers = true});
    Free(everything(), VirtAddr(0), VirtAddr(0));
  }

  /// Makes sure that there is a PTE table for `addr`.
  void Populate(VirtAddr addr) {
    const Result<EntryRef> pmd = tables_.AllocPmd(addr, Gfp::kKernel);
    MM_CHECK(pmd.ok() && tables_.AllocPte(*pmd, Gfp::kKernel).ok());
  }
  /// Sets an entry as it is, nothing counted.
  void SetEntry(VirtAddr addr, Entry entry) {
    Populate(addr);
    LockedPte pte(tables_, tables_.FindPmd(addr), addr);
    MM_CHECK(pte && pte.Load().none());
    pte.Store(entry);
  }
  /// Maps `folio`, whose reference it takes over, as a fault would.
  void MapFolio(VirtAddr addr, Folio& folio, uint64_t bits) {
    folio.AddMapping();
    counters_.Add(CounterOf(folio), 1);
    SetEntry(addr, Entry::Of(world_.frames().PfnOf(folio), bits));
  }
  Folio& MapAnon(VirtAddr addr, uint64_t bits = kWritableBits) {
    Folio& folio = world_.NewFolio(FrameUse::kAnon);
    folio.Set(kFolioAnonExclusive);
    MapFolio(addr, folio, bits);
    return folio;
  }
  [[nodiscard]] Entry At(VirtAddr addr) { return tables_.Translate(addr); }
  [[nodiscard]] int64_t table_count() { return counters_.Sum(MmCounter::kTables); }

 private:
  TableWorld& world_;
  MmCounters counters_;
  TlbContext context_;
  PageTables tables_;
};

[[nodiscard]] inline VirtRange Pages(VirtAddr start, uint64_t count) {
  return {start, start + count * kPageSize};
}

}  // namespace faultline
