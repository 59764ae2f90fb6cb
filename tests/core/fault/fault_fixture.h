// SPDX-License-Identifier: Apache-2.0
//
// A machine and mms, as far as faults need them, put together from parts: no Mm, no mmap_lock.
// Tests keep VMAs stable by not changing them while faults run. Both flavours; a modelled
// scenario passes its run's heap.
//
// Invariant: when the last FaultMm and Mapping have gone and RCU is done, every frame is free;
// ~FaultMachine checks it.

#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/fault/fault.h"
#include "core/fault/mmu.h"
#include "core/folio/frame_allocator.h"
#include "core/pagecache/mapping.h"
#include "core/pgtable/page_tables.h"
#include "core/pgtable/range_ops.h"
#include "core/pgtable/tlb.h"
#include "core/pgtable/tlb_gather.h"
#include "core/rmap/anon_vma.h"
#include "core/sync/sync.h"
#include "core/vma/maple_tree.h"
#include "core/vma/vma.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

inline constexpr VmaFlags kMayAll =
    vma_flag::kMayRead | vma_flag::kMayWrite | vma_flag::kMayExec | vma_flag::kMayShare;
inline constexpr VmaFlags kPrivateReadWrite = vma_flag::kRead | vma_flag::kWrite | kMayAll;
inline constexpr VmaFlags kPrivateReadOnly = vma_flag::kRead | kMayAll;
inline constexpr VmaFlags kSharedReadWrite = kPrivateReadWrite | vma_flag::kShared;
inline constexpr VmaFlags kSharedReadOnly = kPrivateReadOnly | vma_flag::kShared;

class FaultMachine {
 public:
  struct Options {
    uint64_t frames = 512;
    uint32_t cpus = 2;
    PageContents contents = PageContents::kTag;
  };

  FaultMachine(Heap& heap, const Options& options)
      : heap_(heap),
        cpus_(options.cpus),
        frames_(std::move(*FrameAllocator::Create(
            {.frames = options.frames, .contents = options.contents}, heap, cpus_))),
        tlbs_(cpus_),
        anon_vmas_(heap),
        free_frames_(frames_->free_frames()) {
    frames_->SetFailPoints(&fail_points_);
  }
  ~FaultMachine() {
    Rcu::Barrier();
    MM_CHECK_EQ(frames_->free_frames(), free_frames_);
    MM_CHECK_EQ(anon_vmas_.count(), 0u);
    frames_->Validate();
  }
  FaultMachine(const FaultMachine&) = delete;
  FaultMachine& operator=(const FaultMachine&) = delete;

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] const CpuSet& cpus() const { return cpus_; }
  [[nodiscard]] FrameAllocator& frames() { return *frames_; }
  [[nodiscard]] TlbSet& tlbs() { return tlbs_; }
  [[nodiscard]] AnonVmas& anon_vmas() { return anon_vmas_; }
  /// Of the frames; the heap's are set by whoever owns it.
  [[nodiscard]] FailPoints& fail_points() { return fail_points_; }
  [[nodiscard]] AddressTag NextTag() { return AddressTag(++tags_); }

  /// A Mapping with the caller's reference.
  [[nodiscard]] Mapping& NewMapping(Mapping::Kind kind, uint64_t pages) {
    const Result<Mapping*> mapping = Mapping::Create(
        {.kind = kind, .name = "file", .bytes = pages * kPageSize}, *frames_, heap_);
    return **mapping;
  }
  /// Caches the page and gives it contents.
  Folio& Fill(Mapping& mapping, uint64_t index, uint64_t word) {
    const Result<Folio*> folio = mapping.FindOrCreate(PageIndex(index), Gfp::kKernel);
    frames_->StoreWord(**folio, 0, word);
    frames_->Put(**folio);
    return **folio;  // the Mapping's reference keeps it
  }

 private:
  Heap& heap_;
  CpuSet cpus_;
  FailPoints fail_points_;
  FrameAllocator::Ptr frames_;
  TlbSet tlbs_;
  AnonVmas anon_vmas_;
  uint64_t free_frames_;
  uint64_t tags_ = 0;
};

class FaultMm : public VmaOwner {
 public:
  explicit FaultMm(FaultMachine& machine, uint64_t fault_around_bytes = kPageSize)
      : VmaOwner(0),
        machine_(machine),
        counters_(machine.cpus()),
        stats_(machine.cpus()),
        tables_(machine.frames(), counters_, 4),
        tree_(machine.heap()),
        tlb_{.tag = machine.NextTag()},
        target_{.mm = *this,
                .mmap_lock = mmap_lock_,
                .tables = tables_,
                .tree = tree_,
                .tlbs = machine.tlbs(),
                .tlb = tlb_,
                .anon_vmas = machine.anon_vmas(),
                .frames = machine.frames(),
                .anon_vma_lock = anon_vma_lock_,
                .stats = stats_,
                .options = {},
                .fault_around_bytes = fault_around_bytes} {
    MM_CHECK(tables_.Init().ok());
    MM_CHECK(tree_.Init().ok());
  }
  ~FaultMm() override {
    Clear();
    for (Vma* vma : vmas_) {
      machine_.anon_vmas().Unlink(*vma);
      if (vma->mapping() != nullptr) vma->mapping()->Put();
      machine_.heap().Delete(vma);
    }
  }
  FaultMm(const FaultMm&) = delete;
  FaultMm& operator=(const FaultMm&) = delete;

  [[nodiscard]] FaultTarget& target() { return target_; }
  [[nodiscard]] PageTables& tables() { return tables_; }
  [[nodiscard]] int64_t Count(MmCounter counter) const { return counters_.Sum(counter); }
  [[nodiscard]] Vma& vma(size_t index = 0) { return *vmas_[index]; }

  /// A VMA of `pages` pages from page `pgoff` of the Mapping, or anonymous.
  Vma& Map(VirtAddr start, uint64_t pages, VmaFlags flags, Mapping* mapping = nullptr,
           uint64_t pgoff = 0) {
    const VirtRange range(start, start + pages * kPageSize);
    if (mapping == nullptr) pgoff = PageOf(start).value();
    Vma* vma = *machine_.heap().New<Vma>();
    if (mapping != nullptr) mapping->Get();
    vma->Init(*this, range, flags, mapping, PageIndex(pgoff));
    vma->Attach();
    const uint64_t last = range.end().value() - 1;
    MM_CHECK(tree_.Reserve(start.value(), last).ok());
    tree_.Store(start.value(), last, vma);
    vmas_.push_back(vma);
    return *vma;
  }

  /// Takes over the VMAs and entries of `parent`, which has several, or none.
  void ForkFrom(FaultMm& parent) {
    TlbGather gather(machine_.frames(), machine_.heap(), machine_.tlbs(), parent.tlb_);
    for (Vma* vma : parent.vmas_) {
      Vma& child =
          Map(vma->start(), vma->pages(), vma->flags(), vma->mapping(), vma->pgoff().value());
      MM_CHECK(machine_.anon_vmas().Fork(child, *vma).ok());
      MM_CHECK(CopyRange(tables_, parent.tables_, gather, vma->range(), vma->Has(vma_flag::kShared))
                   .ok());
    }
    gather.Finish();
  }

  /// One fault in the VMA that the address lies in.
  [[nodiscard]] FaultOutcome Fault(VirtAddr addr, AccessKind access) {
    for (Vma* vma : vmas_) {
      if (vma->range().Contains(addr)) {
        return HandleFaultLocked(target_, *vma, {.addr = addr, .access = access}).outcome;
      }
    }
    MM_UNREACHABLE("no VMA there");
  }
  /// Loads or stores as a program does: faults until the access succeeds.
  [[nodiscard]] uint64_t Load(VirtAddr addr) {
    uint64_t word = 0;
    while (!MmuLoad(target_, addr, word))
      MM_CHECK_EQ(Fault(addr, AccessKind::kRead) & fault_bit::kErrors, 0u);
    return word;
  }
  void Store(VirtAddr addr, uint64_t word) {
    while (!MmuStore(target_, addr, word))
      MM_CHECK_EQ(Fault(addr, AccessKind::kWrite) & fault_bit::kErrors, 0u);
  }

  [[nodiscard]] Entry EntryAt(VirtAddr addr) {
    const RcuGuard guard;
    return tables_.Translate(addr);
  }
  /// The folio that is mapped there.
  [[nodiscard]] Folio& FolioAt(VirtAddr addr) {
    return machine_.frames().FolioOf(EntryAt(addr).pfn());
  }

  /// As mprotect leaves the entries.
  void Protect(VirtRange range, uint64_t leaf_bits) {
    TlbGather gather(machine_.frames(), machine_.heap(), machine_.tlbs(), tlb_);
    ProtectRange(tables_, gather, range, leaf_bits);
    gather.Finish();
  }
  void Zap(VirtRange range) {
    TlbGather gather(machine_.frames(), machine_.heap(), machine_.tlbs(), tlb_);
    ZapRange(tables_, gather, range, {.drop_markers = true});
    gather.Finish();
  }
  /// No entries and no tables but the root any more.
  void Clear() {
    TlbGather gather(machine_.frames(), machine_.heap(), machine_.tlbs(), tlb_);
    for (Vma* vma : vmas_) ZapRange(tables_, gather, vma->range(), {.drop_markers = true});
    const VirtRange all(VirtAddr(0), tables_.task_size());
    FreeTables(tables_, gather, all, VirtAddr(0), VirtAddr(0));
    gather.Finish();
    MM_CHECK_EQ(counters_.Rss(), 0);
    MM_CHECK_EQ(counters_.Sum(MmCounter::kTables), 1);
  }

 private:
  void FreeMemory() override {}

  FaultMachine& machine_;
  MmCounters counters_;
  FaultStats stats_;
  RwSem<LockRank::kMmapLock> mmap_lock_;
  PageTables tables_;
  MapleTree tree_;
  TlbContext tlb_;
  SpinLock<LockRank::kPageTable> anon_vma_lock_;
  FaultTarget target_;
  std::vector<Vma*> vmas_;
};

}  // namespace faultline
