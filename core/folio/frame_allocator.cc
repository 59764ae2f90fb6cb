// SPDX-License-Identifier: Apache-2.0
//
// Handing out single frames and taking them back; see frame_allocator.h. The per-CPU lists follow
// Linux's (rmqueue_pcplist, free_unref_folios, drain_all_pages), with the zone lock outside of a
// list's lock, where Linux has it inside: only so can an allocation that finds the buddy empty
// collect what is on all lists before it says ENOMEM.
//
// In the modelled build an allocation, and a free, is one step: what goes on inside is a scenario
// of its own (LockDetail::kAll).
#include "core/folio/frame_allocator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/sync/atomic_step.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// A small machine has small lists: all of them together hold about half of it at most (Linux:
/// zone_batchsize).
uint32_t BatchFor(uint64_t frames, uint32_t cpus, uint32_t largest) {
  return static_cast<uint32_t>(std::clamp<uint64_t>(frames / (uint64_t{8} * cpus), 1, largest));
}

}  // namespace

// -- Life -----------------------------------------------------------------------------------------

Result<FrameAllocator::Ptr> FrameAllocator::Create(const Options& options, Heap& heap,
                                                   const CpuSet& cpus) {
  MM_CHECK_GE(options.frames, 16u);
  MM_ASSIGN_OR_RETURN(FrameMemory memory,
                      FrameMemory::Create(options.frames, options.contents, heap));
  MM_ASSIGN_OR_RETURN(Lists lists, NewLists(heap, cpus.size()));
  MM_ASSIGN_OR_RETURN(void* piece, heap.Allocate(sizeof(FrameAllocator), alignof(FrameAllocator)));
  Ptr frames(new (piece) FrameAllocator(options, std::move(memory), std::move(lists), cpus),
             Deleter{&heap});
  MM_TRY(frames->Init());
  return frames;
}

FrameAllocator::FrameAllocator(const Options& options, FrameMemory memory, Lists lists,
                               const CpuSet& cpus)
    : memory_(std::move(memory)),
      folios_(memory_.folios()),
      lists_(std::move(lists)),
      total_frames_(options.frames - 1),
      cpus_(lists_.get_deleter().cpus),
      batch_(BatchFor(options.frames, cpus_, CpuList::kBatch)),
      high_(CpuList::kHigh / CpuList::kBatch * batch_),
      events_(cpus),
      buddy_(folios_, /*first=*/1, options.frames),
      free_in_buddy_(total_frames_) {
  StoreMarks({options.min_free_frames, options.watermark_scale});
  MM_CHECK_LT(watermarks().high, total_frames_);
  Folio* zero = new (folios_) Folio;
  zero->use_ = FrameUse::kReserved;
  zero->Emplace<Folio::Owner>();
  zero->refcount_.Store(1, kRelaxed);  // relaxed: the allocator is published by its user
}

Result<FrameAllocator::Lists> FrameAllocator::NewLists(Heap& heap, uint32_t cpus) {
  MM_ASSIGN_OR_RETURN(void* piece, heap.Allocate(cpus * sizeof(CpuList), alignof(CpuList)));
  auto* lists = static_cast<CpuList*>(piece);
  std::uninitialized_default_construct_n(lists, cpus);
  return Lists(lists, ListsToHeap{&heap, cpus});
}

void FrameAllocator::ListsToHeap::operator()(CpuList* lists) const noexcept {
  std::destroy_n(lists, cpus);
  heap->Free(lists, cpus * sizeof(CpuList), alignof(CpuList));
}

/// The zero page's contents.
Result<void> FrameAllocator::Init() {
  if (contents() == PageContents::kTag) return Ok();
  // As a table, for these are zero.
  return memory_.Attach(zero_folio(), FrameUse::kTable, SourceLoc::Current());
}

FrameAllocator::~FrameAllocator() {
  MM_CHECK_EQ(free_frames(), total_frames_);
  memory_.Detach(zero_folio(), SourceLoc::Current());
}

// -- Allocating -----------------------------------------------------------------------------------

Result<Folio*> FrameAllocator::Allocate(FrameUse use, Gfp gfp, SourceLoc where) {
  MM_DCHECK(use == FrameUse::kAnon || use == FrameUse::kFile || use == FrameUse::kTable);
  if ((CurrentTask().hooks() & kHookLockdep) != 0) [[unlikely]]
    CheckMaySleep(gfp, where);
  if (InjectedFailure(use)) [[unlikely]]
    return Errno::kEnomem;
  // Relaxed: a hint.
  const auto mark = [this] { return fast_mark_.Load(kRelaxed); };
  const Result<Folio*> folio = TryAllocate(use, mark, where);
  if (folio.ok() && *folio == nullptr) [[unlikely]]
    return AllocateSlow(use, gfp, where);
  return folio;
}

/// One attempt, and in the modelled build one step. Null if there is no frame, or not more than
/// mark(); ENOMEM if there are no contents for it.
template <class Mark>
Result<Folio*> FrameAllocator::TryAllocate(FrameUse use, const Mark& mark, SourceLoc where) {
  CpuList& list = LocalList();
  const AtomicStep step(LockDetail::kAll, OpKind::kRmw, &list, where);
  if (!IsAbove(mark())) [[unlikely]]
    return nullptr;
  Folio* folio = TakeFrame(list);
  if (folio == nullptr) [[unlikely]]
    return nullptr;
  MM_DCHECK(IsClean(*folio));
  if (!memory_.Attach(*folio, use, where).ok()) [[unlikely]] {
    GiveFrames(list, {&folio, 1});
    return Errno::kEnomem;
  }
  folio->use_ = use;
  if (use != FrameUse::kTable) folio->Emplace<Folio::Owner>();
  // Relaxed, both: what makes the folio reachable orders them.
  folio->flags_.Store(0, kRelaxed, where);
  folio->refcount_.Store(1, kRelaxed, where);
  return folio;
}

/// TryAllocate for the slow path, which has no need of a copy of its own.
Result<Folio*> FrameAllocator::TryAgain(FrameUse use, uint64_t mark, SourceLoc where) {
  return TryAllocate(use, [mark] { return mark; }, where);
}

Folio* FrameAllocator::TakeFrame(CpuList& list) {
  {
    const LockGuard guard(list.lock);
    if (list.count != 0) [[likely]] {
      Folio* const taken = list.frames[--list.count];
      // The next one's line, which nobody has used for long, comes while this one is put to use.
      // Without that the first locked instruction behind waits for the stores to it: a third of a
      // fault.
      if (list.count != 0) __builtin_prefetch(list.frames[list.count - 1], /*write=*/1);
      return taken;
    }
  }
  return TakeFromBuddy(list);
}

Folio* FrameAllocator::TakeFromBuddy(CpuList& list) {
  const LockGuard zone(buddy_.lock());
  Folio* folio = RefillLocked(list);
  if (folio == nullptr) {
    DrainAllLocked();
    folio = buddy_.TakeLocked(0);
  }
  PublishFreeLocked();
  return folio;
}

/// Fills the list, unless somebody else on this CPU was first, and takes a frame from it; null if
/// there is none.
Folio* FrameAllocator::RefillLocked(CpuList& list) {
  const LockGuard guard(list.lock);
  if (list.count == 0) {
    // In one piece if there is one: what is done here is done under the lock that all CPUs share.
    const auto order = static_cast<uint32_t>(std::bit_width(batch_)) - 1;
    if (Folio* const block = buddy_.TakeLocked(order)) {
      for (; list.count < (1u << order); ++list.count) list.frames[list.count] = block + list.count;
    }
    while (list.count < batch_) {
      Folio* folio = buddy_.TakeLocked(0);
      if (folio == nullptr) break;
      list.frames[list.count++] = folio;
    }
    // The lowest frame leaves the stack first.
    std::reverse(list.frames.begin(), list.frames.begin() + list.count);
  }
  return list.count == 0 ? nullptr : list.frames[--list.count];
}

void FrameAllocator::DrainAllLocked() {
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    CpuList& list = ListOf(cpu);
    const LockGuard guard(list.lock);
    GiveToBuddyLocked(list, list.count);
  }
}

// -- Freeing --------------------------------------------------------------------------------------

void FrameAllocator::PutAll(std::span<Folio* const> folios, SourceLoc where) {
  std::array<Folio*, 32> last{};
  uint32_t count = 0;
  for (Folio* const folio : folios) {
    if (folio->DropReferences(1)) last[count++] = folio;
    if (count == last.size()) Free({last.data(), std::exchange(count, 0)}, where);
  }
  if (count != 0) Free({last.data(), count}, where);
}

/// The last references are gone: nobody else can reach the frames.
void FrameAllocator::Free(std::span<Folio* const> folios, SourceLoc where) {
  CpuList& list = LocalList();
  const AtomicStep step(LockDetail::kAll, OpKind::kRmw, &list, where);
  for (Folio* const folio : folios) {
    MM_DCHECK(folio->use_ != FrameUse::kFree && folio->use_ != FrameUse::kReserved);
    MM_DCHECK_EQ(folio->mapcount_.Peek(), 0);
    memory_.Detach(*folio, where);
    folio->use_ = FrameUse::kFree;
  }
  GiveFrames(list, folios);
}

void FrameAllocator::GiveFrames(CpuList& list, std::span<Folio* const> frames) {
  for (;;) {
    {
      const LockGuard guard(list.lock);
      const auto fit = std::min(static_cast<uint32_t>(frames.size()), high_ - list.count);
      std::copy_n(frames.begin(), fit, list.frames.begin() + list.count);
      list.count += fit;
      list.freed += fit;
      frames = frames.subspan(fit);
    }
    if (frames.empty()) [[likely]]
      return;
    DrainOldest(list);
  }
}

/// Gives those that were freed longest ago back to the buddy.
void FrameAllocator::DrainOldest(CpuList& list) {
  const LockGuard zone(buddy_.lock());
  const LockGuard guard(list.lock);
  GiveToBuddyLocked(list, std::min(batch_, list.count));
  PublishFreeLocked();
}

void FrameAllocator::DrainAll(SourceLoc where) {
  const AtomicStep step(LockDetail::kAll, OpKind::kRmw, lists_.get(), where);
  const LockGuard zone(buddy_.lock());
  DrainAllLocked();
  PublishFreeLocked();
}

void FrameAllocator::DrainLocal(SourceLoc where) {
  CpuList& list = LocalList();
  const AtomicStep step(LockDetail::kAll, OpKind::kRmw, &list, where);
  const LockGuard zone(buddy_.lock());
  const LockGuard guard(list.lock);
  GiveToBuddyLocked(list, list.count);
  PublishFreeLocked();
}

/// Moves the lowest `frames` of the stack to the buddy. What was allocated in one piece and freed
/// in order lies there in order, and goes in one piece: that joins it without a look at each frame.
void FrameAllocator::GiveToBuddyLocked(CpuList& list, uint32_t frames) {
  for (uint32_t given = 0; given < frames;) {
    Folio& first = *list.frames[given];
    const uint32_t order = OrderOfBlock(&list.frames[given], frames - given);
    buddy_.GiveLocked(first, order);
    given += 1u << order;
  }
  std::move(list.frames.begin() + frames, list.frames.begin() + list.count, list.frames.begin());
  list.count -= frames;
}

/// The order of the largest block that the frames begin with.
uint32_t FrameAllocator::OrderOfBlock(Folio* const* frames, uint32_t count) const {
  const auto alignment =
      static_cast<uint32_t>(std::countr_zero(static_cast<uint64_t>(frames[0] - folios_)));
  const uint32_t most = std::min(count, 1u << std::min(alignment, Buddy::kMaxOrder));
  uint32_t length = 1;
  while (length < most && frames[length] == frames[0] + length) ++length;
  return static_cast<uint32_t>(std::bit_width(length)) - 1;
}

/// Tells the readers of watermarks what is in the buddy now.
void FrameAllocator::PublishFreeLocked() {
  // Relaxed: see IsAbove.
  if (HasMarks()) free_in_buddy_.Store(buddy_.free_frames_locked(), kRelaxed);
}

// -- Watermarks -----------------------------------------------------------------------------------

Result<void> FrameAllocator::SetWatermarks(const WatermarkOptions& options, SourceLoc where) {
  if (WhyRefused(options, total_frames_).has_value()) return Errno::kEinval;
  const AtomicStep step(LockDetail::kAll, OpKind::kRmw, &fast_mark_, where);
  const LockGuard zone(buddy_.lock());
  StoreMarks(options);
  // Without marks nobody kept it.
  PublishFreeLocked();
  return {};
}

/// Under the zone lock, or before anybody else knows the allocator.
void FrameAllocator::StoreMarks(const WatermarkOptions& options) {
  const auto marks =
      Watermarks::Of(options.min_free_frames, total_frames_, options.watermark_scale);
  // Relaxed: readers want no more than some value that was there.
  min_mark_.Store(marks.min, kRelaxed);
  low_mark_.Store(marks.low, kRelaxed);
  high_mark_.Store(marks.high, kRelaxed);
  watermark_scale_.Store(options.watermark_scale, kRelaxed);
  fast_mark_.Store(marks.on() ? marks.low : kNoMark, kRelaxed);
}

// -- Accounting -----------------------------------------------------------------------------------

uint64_t FrameAllocator::free_frames() const {
  const LockGuard zone(buddy_.lock());
  uint64_t frames = buddy_.free_frames_locked();
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    CpuList& list = ListOf(cpu);
    const LockGuard guard(list.lock);
    frames += list.count;
  }
  return frames;
}

/// Allocations are not counted, which would cost every fault something: they are what is in use and
/// what came back. Frames that move between lists and buddy do so under the zone lock, so that each
/// is seen in one place.
FrameAllocator::Traffic FrameAllocator::traffic() const {
  const LockGuard zone(buddy_.lock());
  Traffic traffic{.free = buddy_.free_frames_locked()};
  uint64_t in_use = total_frames_ - traffic.free;
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    CpuList& list = ListOf(cpu);
    const LockGuard guard(list.lock);
    in_use -= list.count;
    traffic.freed += list.freed;
  }
  // Unsigned on purpose: a frame taken from a list that was looked at and put on one that was not
  // yet makes in_use too small by one, and freed too great.
  traffic.allocated = in_use + traffic.freed;
  return traffic;
}

void FrameAllocator::Validate() const {
  const LockGuard zone(buddy_.lock());
  std::vector<bool> is_free(buddy_.watermark_locked());
  const auto mark_free = [&](uint64_t first, uint64_t frames) {
    for (uint64_t pfn = first; pfn < first + frames; ++pfn) {
      MM_CHECK(!is_free[pfn]);
      MM_CHECK(folios_[pfn].use_ == FrameUse::kFree && IsClean(folios_[pfn]));
      MM_CHECK(pfn == first || folios_[pfn].block_ == 0);
      is_free[pfn] = true;
    }
  };
  buddy_.ValidateLocked(mark_free);
  if (min_mark_.Peek() != 0) MM_CHECK_EQ(free_in_buddy_.Peek(), buddy_.free_frames_locked());
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    CpuList& list = ListOf(cpu);
    const LockGuard guard(list.lock);
    MM_CHECK_LE(list.count, high_);
    for (uint32_t i = 0; i < list.count; ++i) {
      MM_CHECK_EQ(list.frames[i]->block_, 0);
      mark_free(PfnOf(*list.frames[i]).value(), 1);
    }
  }
  for (uint64_t pfn = 0; pfn < is_free.size(); ++pfn) {
    if (is_free[pfn]) continue;
    const Folio& folio = folios_[pfn];
    MM_CHECK(folio.use_ != FrameUse::kFree);
    MM_CHECK((pfn == 0) == (folio.use_ == FrameUse::kReserved));
    MM_CHECK(folio.mapcount_.Peek() >= 0 &&
             static_cast<uint32_t>(folio.mapcount_.Peek()) <= folio.refcount_.Peek());
    MM_CHECK(folio.refcount_.Peek() != 0 && folio.block_ == 0);
  }
}

/// What a free frame is like.
bool FrameAllocator::IsClean(const Folio& folio) {
  return folio.refcount_.Peek() == 0 && folio.mapcount_.Peek() == 0;
}

}  // namespace faultline
