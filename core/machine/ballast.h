// SPDX-License-Identifier: Apache-2.0
//
// Ballast: an actor that holds frames and gives them back (the task of B40 that "frees slowly
// elsewhere", so that somebody else's allocation succeeds; R4). It takes two parts:
//
//   as PressureHook   direct reclaim takes frames from it, which stands in for reclaim proper
//   beside others     a task calls GiveBack at the rate it likes; there is no clock in here
//
// What it gives back goes to the buddy at once, where the watermarks see it, not to the list of the
// giver's CPU. Its counts tell which of the two helped.
// Invariant: each frame is given back once, whoever asks meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/folio/frame_allocator.h"
#include "core/folio/pressure_hook.h"
#include "core/sync/stat_counter.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Ballast final : public PressureHook {
 public:
  /// Holds nothing yet. `frames` outlives it.
  explicit Ballast(FrameAllocator& frames) : frames_(frames) {}
  /// Gives back what is left. Nobody uses it any more, and it is no allocator's hook.
  ~Ballast() override { GiveBack(held()); }
  Ballast(const Ballast&) = delete;
  Ballast& operator=(const Ballast&) = delete;

  /// Takes `frames` frames, for anonymous data, on top of those that it holds; all of them, or none
  /// and ENOMEM. Sleeps as `gfp` says. While nobody takes anything back, hence not through itself
  /// as hook.
  [[nodiscard]] Result<void> Fill(uint64_t frames, Gfp gfp = Gfp::kKernel);

  /// Frees `frames` frames, or as many as there are, and returns how many. Any task, any context.
  uint64_t GiveBack(uint64_t frames);
  /// Frames that it holds; a hint while others take some.
  [[nodiscard]] uint64_t held() const { return held_.Peek(); }

  /// Only counts: giving back in the background is up to a task of the user's.
  void WakeKswapd() override { wakeups_.Add(1); }
  /// GiveBack, on behalf of an allocation.
  [[nodiscard]] uint64_t DirectReclaim(uint64_t frames) override;

  /// How often memory was said to be low.
  [[nodiscard]] int64_t wakeups() const { return wakeups_.Read(); }
  /// Frames that allocations took from it, by direct reclaim.
  [[nodiscard]] int64_t reclaimed() const { return reclaimed_.Read(); }

 private:
  FrameAllocator& frames_;
  std::vector<Folio*> stack_;  // written by Fill alone
  // How many of `stack_`, from its bottom, are still held. Only falls between two Fills, so that
  // whoever lowers it owns what it leaves behind.
  Atomic<uint64_t> held_{0};
  StatCounter wakeups_;
  StatCounter reclaimed_;
};

}  // namespace faultline
