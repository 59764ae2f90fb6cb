// SPDX-License-Identifier: Apache-2.0
//
// The machine's physical memory: its frames, their Folios, their contents, and who gets one
// (Linux: mm/page_alloc.c, memmap, and the direct map for contents).
//
// Single frames go through per-CPU lists that are filled from and drained to the buddy allocator in
// batches, so that allocating and freeing on one CPU touches no shared line; the frame freed last
// is reused first. Blocks are handed out from the lowest number up, and their Folios and contents
// are backed lazily: what was never used costs nothing, however large the machine.
//
// Locks: the zone lock (see buddy.h) is held while frames move between lists and buddy, so whoever
// holds it finds every free frame on some list, and ENOMEM means that there is none; only one freed
// meanwhile may be missed. Each CPU's list has a lock of its own, inside the zone lock and never
// two at a time: somebody who needs the last frame drains the lists of all CPUs.
//
// With watermarks (watermarks.h) an allocation that would leave too few frames goes the slow way,
// frame_allocator_slow.cc: it wakes kswapd, digs as deep as its Gfp allows, and then, if it may
// sleep, reclaims.
//
// Contents are kept as `tag` (one 64-bit word per data page, in its Folio) or as `bytes` (4 KiB
// each). Page tables are real 4 KiB tables in both. Guarantee: a frame handed out for a table reads
// as zero, and has to come back so (checked builds look); one handed out for data has unspecified
// contents until Zero or Copy.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/owned.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/folio/buddy.h"
#include "core/folio/folio.h"
#include "core/folio/frame_memory.h"
#include "core/folio/gfp.h"
#include "core/folio/pressure_hook.h"
#include "core/folio/watermarks.h"
#include "core/observe/sharded_counters.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class FrameAllocator {
 public:
  struct Options {
    uint64_t frames = 0;  ///< at least 16
    PageContents contents = PageContents::kTag;
    /// The min watermark (Linux: vm.min_free_kbytes); 0: no watermarks. High is below `frames`.
    uint64_t min_free_frames = 0;
    uint32_t watermark_scale = Watermarks::kDefaultScale;  ///< vm.watermark_scale_factor
  };
  /// Frames that direct reclaim is asked for at a time (Linux: SWAP_CLUSTER_MAX).
  static constexpr uint64_t kReclaimBatch = 32;
  /// Rounds of direct reclaim without a frame more that an allocation tries again after (Linux:
  /// MAX_RECLAIM_RETRIES).
  static constexpr uint32_t kMaxReclaimRetries = 16;
  /// CPUs at most: their lists are one piece of the heap.
  static constexpr uint32_t kMaxCpus = 256;

  /// Gives an allocator back to the heap that it came from.
  struct Deleter {
    Heap* heap = nullptr;
    void operator()(FrameAllocator* frames) const noexcept { heap->Delete(frames); }
  };
  using Ptr = Owned<FrameAllocator, Deleter>;

  /// Reserves memory for `options.frames` frames. `heap` outlives the allocator. ENOMEM if the
  /// address space, or in the modelled build the heap, does not allow it.
  [[nodiscard]] static Result<Ptr> Create(const Options& options, Heap& heap, const CpuSet& cpus);
  /// Every frame is free.
  ~FrameAllocator();
  FrameAllocator(const FrameAllocator&) = delete;
  FrameAllocator& operator=(const FrameAllocator&) = delete;

  /// A frame for `use` (kAnon, kFile or kTable), with one reference, no mappings and no flags; its
  /// Folio's Owner is made for data pages. ENOMEM if none is free, or none above the watermark for
  /// `gfp` and reclaim, where it may be tried, gets no further; or by fault injection (site kTable
  /// for tables, else kFrame; modelled, one with contents is also an allocation of the heap's).
  /// May sleep if EffectiveGfp(gfp) has kDirectReclaim, which lockdep checks at each call; any
  /// context otherwise.
  [[nodiscard]] Result<Folio*> Allocate(FrameUse use, Gfp gfp,
                                        SourceLoc where = SourceLoc::Current());
  /// Reclaims as an allocation with `gfp` would, without allocating; returns how many frames came
  /// of it. For those who could not sleep where they allocated. May sleep, if gfp says so.
  uint64_t Reclaim(Gfp gfp);
  /// Drops one reference, or several; frees the frame with the last one. Any context.
  void Put(Folio& folio, uint32_t references = 1, SourceLoc where = SourceLoc::Current()) {
    Folio* const last = &folio;
    if (folio.DropReferences(references)) Free({&last, 1}, where);
  }
  /// Drops one reference of each; cheaper than Put for each (Linux: folios_put). Any context.
  void PutAll(std::span<Folio* const> folios, SourceLoc where = SourceLoc::Current());

  [[nodiscard]] Folio& FolioOf(Pfn pfn) { return folios_[pfn.value()]; }
  [[nodiscard]] Pfn PfnOf(const Folio& folio) const {
    return Pfn(static_cast<uint64_t>(&folio - folios_));
  }

  /// The page that reads of untouched anonymous memory share. Reserved: neither counted nor freed.
  [[nodiscard]] Folio& zero_folio() { return folios_[0]; }
  [[nodiscard]] Pfn zero_pfn() const { return Pfn(0); }

  // -- Contents -----------------------------------------------------------------------------------

  [[nodiscard]] PageContents contents() const { return memory_.mode(); }
  /// Makes a data page, which nobody else can reach yet, read as zero / as `from` does. Stores to
  /// `from` meanwhile are legal: each word is copied from before or after them.
  void Zero(Folio& folio, SourceLoc where = SourceLoc::Current());
  void Copy(Folio& to, Folio& from, SourceLoc where = SourceLoc::Current());
  /// The aligned 64-bit word at byte `offset` (below kPageSize, a multiple of 8) of a data page.
  [[nodiscard]] uint64_t LoadWord(Folio& folio, uint64_t offset,
                                  SourceLoc where = SourceLoc::Current());
  void StoreWord(Folio& folio, uint64_t offset, uint64_t value,
                 SourceLoc where = SourceLoc::Current());
  /// The entries of a kTable frame.
  [[nodiscard]] TableWords& Table(Folio& folio) {
    MM_DCHECK(folio.use() == FrameUse::kTable);
    return memory_.WordsOf(folio);
  }

  // -- Accounting ---------------------------------------------------------------------------------

  /// Frames that can be in use: all but the zero page.
  [[nodiscard]] uint64_t total_frames() const { return total_frames_; }
  /// Frames not in use now, those on per-CPU lists included. Takes the locks of all lists: for
  /// reports and checks.
  [[nodiscard]] uint64_t free_frames() const;

  /// Frames that came and went since the beginning, and those in the buddy.
  struct Traffic {
    uint64_t allocated = 0;  ///< Linux: pgalloc_normal
    uint64_t freed = 0;      ///< Linux: pgfree
    uint64_t free = 0;       ///< those on per-CPU lists not counted (Linux: nr_free_pages)
  };
  /// Takes the locks of all lists: for reports. None of them ever goes down but `free`.
  [[nodiscard]] Traffic traffic() const;

  /// The marks as they are now. A hint beside SetWatermarks.
  [[nodiscard]] Watermarks watermarks() const {
    // Relaxed: each is a hint by itself.
    return {.min = min_mark_.Load(kRelaxed),
            .low = low_mark_.Load(kRelaxed),
            .high = high_mark_.Load(kRelaxed)};
  }
  /// What the marks follow from, as it is now; a hint likewise.
  [[nodiscard]] WatermarkOptions watermark_options() const {
    return {.min_free_frames = min_mark_.Load(kRelaxed),
            .watermark_scale = watermark_scale_.Load(kRelaxed)};
  }
  /// Changes the marks while allocations go on; one that is under way may keep those that it met.
  /// EINVAL if WhyRefused(options, total_frames()), which says why. Any context.
  [[nodiscard]] Result<void> SetWatermarks(const WatermarkOptions& options,
                                           SourceLoc where = SourceLoc::Current());
  /// Free frames that the watermarks are compared with: those on no per-CPU list. A hint, of some
  /// moment since the last refill or drain. With watermarks only.
  [[nodiscard]] uint64_t free_above_lists() const {
    MM_DCHECK(min_mark_.Peek() != 0);
    return free_in_buddy_.Peek();
  }
  /// Gives what is on the list of the caller's CPU back to the buddy, where the watermarks see it
  /// (Linux: drain_local_pages). Any context.
  void DrainLocal(SourceLoc where = SourceLoc::Current());

  /// What the slow paths met so far.
  [[nodiscard]] const ShardedCounters<AllocEvent>& events() const { return events_; }

  /// Whom to tell that memory is short; null: nobody. Not owned, outlives its use. While nobody
  /// allocates.
  void SetPressureHook(PressureHook* hook) { hook_ = hook; }
  /// Lets `points`, which outlives the allocator, make allocations fail. While nobody allocates.
  void SetFailPoints(FailPoints* points) { fail_points_ = points; }
  /// Aborts if lists, Folios and counts do not agree. Nobody allocates or frees meanwhile.
  void Validate() const;

 private:
  /// Free frames of one CPU, as a stack (Linux: struct per_cpu_pages).
  struct alignas(kCacheLinePad) CpuList {
    static constexpr uint32_t kBatch = 64;
    static constexpr uint32_t kHigh = 4 * kBatch;
    SpinLock<LockRank::kPerCpu> lock;
    uint32_t count ABSL_GUARDED_BY(lock) = 0;
    uint64_t freed ABSL_GUARDED_BY(lock) = 0;  // how many frames ever came back here, to be reused
    std::array<Folio*, kHigh> frames ABSL_GUARDED_BY(lock){};
  };

  static_assert(kMaxCpus * sizeof(CpuList) <= Heap::kMaxPiece);

  /// The lists, in one piece of the heap: they are shared, so their addresses have to repeat.
  struct ListsToHeap {
    Heap* heap;
    uint32_t cpus;
    void operator()(CpuList* lists) const noexcept;
  };
  using Lists = Owned<CpuList, ListsToHeap>;

  /// The mark of an allocation that does not care for marks.
  static constexpr uint64_t kNoMark = ~uint64_t{0};

  FrameAllocator(const Options& options, FrameMemory memory, Lists lists, const CpuSet& cpus);
  [[nodiscard]] static Result<Lists> NewLists(Heap& heap, uint32_t cpus);
  [[nodiscard]] Result<void> Init();

  [[nodiscard]] bool InjectedFailure(FrameUse use) const {
    return fail_points_ != nullptr &&
           fail_points_->ShouldFail(use == FrameUse::kTable ? FailSite::kTable : FailSite::kFrame);
  }
  [[nodiscard]] CpuList& ListOf(uint32_t cpu) const { return lists_.get()[cpu]; }
  [[nodiscard]] CpuList& LocalList() const {
    const uint32_t cpu = CurrentTask().cpu();
    return ListOf(cpu < cpus_ ? cpu : cpu % cpus_);
  }

  /// Whether more than `mark` frames are free, as far as the marks see.
  [[nodiscard]] bool IsAbove(uint64_t mark) const {
    // Relaxed: a hint. Whoever acts on it gets the frame itself under a lock.
    return mark == kNoMark || free_in_buddy_.Load(kRelaxed) > mark;
  }
  template <class Mark>
  [[nodiscard]] FAULTLINE_ALWAYS_INLINE Result<Folio*> TryAllocate(FrameUse use, const Mark& mark,
                                                                   SourceLoc where);
  [[nodiscard]] FAULTLINE_NOINLINE Result<Folio*> TryAgain(FrameUse use, uint64_t mark,
                                                           SourceLoc where);
  [[nodiscard]] FAULTLINE_NOINLINE Result<Folio*> AllocateSlow(FrameUse use, Gfp asked,
                                                               SourceLoc where);
  static FAULTLINE_NOINLINE void CheckMaySleep(Gfp gfp, SourceLoc where);
  [[nodiscard]] uint64_t MarkFor(Gfp gfp) const;
  [[nodiscard]] bool CanReclaim(Gfp gfp) const;
  void WakeKswapd(Gfp gfp);
  [[nodiscard]] uint64_t ReclaimDirectly(Gfp gfp);
  void DrainAll(SourceLoc where);
  void CountSuccess(uint64_t free);
  void CountFailure(Gfp gfp);

  [[nodiscard]] Folio* TakeFrame(CpuList& list);
  [[nodiscard]] FAULTLINE_NOINLINE Folio* TakeFromBuddy(CpuList& list);
  [[nodiscard]] Folio* RefillLocked(CpuList& list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(buddy_.lock());
  void DrainAllLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(buddy_.lock());

  void Free(std::span<Folio* const> folios, SourceLoc where);
  void GiveFrames(CpuList& list, std::span<Folio* const> frames);
  FAULTLINE_NOINLINE void DrainOldest(CpuList& list);
  void GiveToBuddyLocked(CpuList& list, uint32_t frames)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(buddy_.lock(), list.lock);
  [[nodiscard]] uint32_t OrderOfBlock(Folio* const* frames, uint32_t count) const;

  void PublishFreeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(buddy_.lock());
  [[nodiscard]] bool HasMarks() const { return min_mark_.Load(kRelaxed) != 0; }  // relaxed: a hint
  void StoreMarks(const WatermarkOptions& options);

  [[nodiscard]] static bool IsClean(const Folio& folio);

  FrameMemory memory_;
  Folio* const folios_;
  const Lists lists_;
  const uint64_t total_frames_;
  const uint32_t cpus_;
  const uint32_t batch_;  // how many frames move between a list and the buddy at a time
  const uint32_t high_;   // most frames of a list
  // The watermarks; written under the zone lock, read as hints by everybody.
  Atomic<uint64_t> min_mark_{0};
  Atomic<uint64_t> low_mark_{0};
  Atomic<uint64_t> high_mark_{0};
  Atomic<uint32_t> watermark_scale_{Watermarks::kDefaultScale};
  Atomic<uint64_t> fast_mark_{kNoMark};  // low, or kNoMark if there are no marks
  FailPoints* fail_points_ = nullptr;
  PressureHook* hook_ = nullptr;
  ShardedCounters<AllocEvent> events_;
  // What allocations read stays on lines that only refills and drains write.
  alignas(kCacheLinePad) Buddy buddy_;
  // Written under the zone lock, when frames have moved and there are marks; read as a hint by
  // everybody.
  alignas(kCacheLinePad) Atomic<uint64_t> free_in_buddy_{0};
};

}  // namespace faultline
