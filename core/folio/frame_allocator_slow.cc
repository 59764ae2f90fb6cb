// SPDX-License-Identifier: Apache-2.0
//
// What an allocation does when memory is short (Linux: __alloc_pages_slowpath): wakes kswapd, looks
// again with the mark that its Gfp and its task are entitled to, and then, if it may sleep,
// reclaims for as long as that gets somewhere. See frame_allocator.h and watermarks.h.
//
// Without watermarks short means that no list and no block has a frame, and there is nothing to dig
// into; only reclaim can help.
// Locks: none is held while the hook is called. In the modelled build each attempt is one step, and
// so is each drain. Guarantee: an allocation that must not sleep never calls DirectReclaim.
#include <cstdint>

#include "core/folio/alloc_scope.h"
#include "core/folio/frame_allocator.h"
#include "core/sync/lockdep.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

[[nodiscard]] bool InMemallocScope() { return (AllocScope::Limits() & AllocScope::kMemalloc) != 0; }

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
  if (marks_.on() && attempt()) return folio;
  for (bool progress = CanReclaim(gfp); progress;) {
    progress = ReclaimDirectly(gfp) != 0;
    if (attempt()) return folio;
    // What was freed, by whomever, may lie on lists, which the marks do not see.
    DrainAll(where);
    if (attempt()) return folio;
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
  if (!marks_.on()) return kNoMark;
  const bool may_ignore = gfp.Has(Gfp::kMemalloc) || InMemallocScope();
  return may_ignore && !gfp.Has(Gfp::kNomemalloc) ? kNoMark : marks_.MinFor(gfp);
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
  if (!marks_.on()) return;
  AllocEvent event = AllocEvent::kAboveLow;
  if (free <= marks_.low) event = AllocEvent::kBelowLow;
  if (free <= marks_.min) event = AllocEvent::kBelowMin;
  events_.Add(event, 1);
}

void FrameAllocator::CountFailure(Gfp gfp) {
  const bool could_sleep = gfp.Has(Gfp::kDirectReclaim);
  events_.Add(could_sleep ? AllocEvent::kFailedKernel : AllocEvent::kFailedNowait, 1);
  if (!gfp.Has(Gfp::kNowarn)) events_.Add(AllocEvent::kWarned, 1);
}

}  // namespace faultline
