// SPDX-License-Identifier: Apache-2.0
//
// What an allocation does when memory is short (Linux: __alloc_pages_slowpath): wakes kswapd, looks
// again with the mark that its Gfp and its task are entitled to, and then, if it may sleep,
// reclaims for as long as that gets somewhere (should_reclaim_retry). See frame_allocator.h and
// watermarks.h.
//
// Without watermarks short means that no list and no block has a frame, and there is nothing to dig
// into; only reclaim can help.
// Locks: none is held while the hook is called. In the modelled build each attempt is one step, and
// so is each drain. Guarantees: an allocation that must not sleep never calls DirectReclaim; one
// that may gives up after kMaxReclaimRetries retries in a row in which no frame appeared.
#include <cstdint>

#include "core/folio/alloc_scope.h"
#include "core/folio/frame_allocator.h"
#include "core/sync/lockdep.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

[[nodiscard]] bool InMemallocScope() { return (AllocScope::Limits() & AllocScope::kMemalloc) != 0; }

/// Whether one more round of reclaim is worth it (Linux: should_reclaim_retry). A round in which
/// memory grew starts the count again, so that an allocation goes on while it comes nearer to its
/// mark. What the hook says it freed does not count as progress by itself, where Linux believes
/// did_some_progress: frames that others take at once, or that were never free, would keep the task
/// here for ever, and there is no OOM killer to end it. With 0 the hook says that nothing can be
/// reclaimed any more, which Linux computes from zone_reclaimable_pages; that ends it at once.
class ReclaimRetries {
 public:
  explicit ReclaimRetries(uint64_t free) : free_(free) {}

  /// A round got nothing; `free` frames are where the marks see them now.
  [[nodiscard]] bool AreWorthIt(uint64_t free) {
    fruitless_ = free > free_ ? 0 : fruitless_ + 1;
    free_ = free;
    return fruitless_ <= FrameAllocator::kMaxReclaimRetries;
  }

 private:
  uint64_t free_;
  uint32_t fruitless_ = 0;
};

}  // namespace

/// The attempt to take a frame above low has found none.
Result<Folio*> FrameAllocator::AllocateSlow(FrameUse use, Gfp asked, SourceLoc where) {
  const Gfp gfp = EffectiveGfp(asked);
  const uint64_t mark = MarkFor(gfp);
  WakeKswapd(gfp);
  Result<Folio*> folio = nullptr;
  // Found, or, as an error, without contents: more frames would not help there.
  const auto attempt = [&] {
    const uint64_t free = free_in_buddy_.Peek();
    folio = TryAgain(use, mark, where);
    if (folio.ok() && *folio != nullptr) CountSuccess(free);
    return !folio.ok() || *folio != nullptr;
  };
  if (HasMarks() && attempt()) return folio;
  // Without watermarks the number stays what it is, rightly: a frame that appeared was taken.
  ReclaimRetries retries(free_in_buddy_.Peek());
  for (bool go_on = CanReclaim(gfp); go_on;) {
    const bool reclaimed = ReclaimDirectly(gfp) != 0;
    if (attempt()) return folio;
    // What was freed, by whomever, may lie on lists, which the marks do not see.
    DrainAll(where);
    if (attempt()) return folio;
    // A task that is to die gives up: its end frees more than it gets here.
    go_on = reclaimed && retries.AreWorthIt(free_in_buddy_.Peek()) && !CurrentTask().killed();
    WakeKswapd(gfp);
  }
  CountFailure(gfp);
  return Errno::kEnomem;
}

uint64_t FrameAllocator::Reclaim(Gfp asked) {
  const Gfp gfp = EffectiveGfp(asked);
  return CanReclaim(gfp) ? ReclaimDirectly(gfp) : 0;
}

/// Reports a caller that must not sleep and asks for what may (Linux: might_alloc).
void FrameAllocator::CheckMaySleep(Gfp gfp, SourceLoc where) {
  if (EffectiveGfp(gfp).Has(Gfp::kDirectReclaim)) MaySleep("frame allocation", where);
}

uint64_t FrameAllocator::MarkFor(Gfp gfp) const {
  const Watermarks marks = watermarks();
  if (!marks.on()) return kNoMark;
  const bool may_ignore = gfp.Has(Gfp::kMemalloc) || InMemallocScope();
  return may_ignore && !gfp.Has(Gfp::kNomemalloc) ? kNoMark : marks.MinFor(gfp);
}

/// Reclaim that allocates does not reclaim for that.
bool FrameAllocator::CanReclaim(Gfp gfp) const {
  return hook_ != nullptr && gfp.Has(Gfp::kDirectReclaim) && !InMemallocScope();
}

void FrameAllocator::WakeKswapd(Gfp gfp) {
  if (hook_ == nullptr || !gfp.Has(Gfp::kKswapd)) return;
  events_.Add(AllocEvent::kKswapdWake, 1);
  hook_->WakeKswapd();
}

uint64_t FrameAllocator::ReclaimDirectly(Gfp gfp) {
  events_.Add(AllocEvent::kAllocstall, 1);
  uint32_t limits = AllocScope::kMemalloc;
  if (!gfp.Has(Gfp::kIo)) limits |= AllocScope::kNoIo;
  if (!gfp.Has(Gfp::kFs)) limits |= AllocScope::kNoFs;
  const AllocScope scope(limits);
  const uint64_t freed = hook_->DirectReclaim(kReclaimBatch);
  events_.Add(AllocEvent::kDirectReclaimed, static_cast<int64_t>(freed));
  return freed;
}

void FrameAllocator::CountSuccess(uint64_t free) {
  const Watermarks marks = watermarks();
  if (!marks.on()) return;
  AllocEvent event = AllocEvent::kAboveLow;
  if (free <= marks.low) event = AllocEvent::kBelowLow;
  if (free <= marks.min) event = AllocEvent::kBelowMin;
  events_.Add(event, 1);
}

void FrameAllocator::CountFailure(Gfp gfp) {
  const bool could_sleep = gfp.Has(Gfp::kDirectReclaim);
  events_.Add(could_sleep ? AllocEvent::kFailedKernel : AllocEvent::kFailedNowait, 1);
  if (!gfp.Has(Gfp::kNowarn)) events_.Add(AllocEvent::kWarned, 1);
}

}  // namespace faultline
