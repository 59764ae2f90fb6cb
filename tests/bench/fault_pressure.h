// SPDX-License-Identifier: Apache-2.0
//
// Memory pressure for fault_bench: how much memory is free while faults are measured, and who frees
// some meanwhile (BEHAVIOURS E11, E13; R4, B40).
//
// A Ballast holds what must not be free. Faults take frames, so the level is one of a phase's
// beginning: Establish brings it back when the phase's pages were unmapped and RCU is through. What
// holds it during the phase is the width of the marks (at the low mark) or how little reclaim
// yields (below min); see FreeMemory.
// Invariant: frames are taken by Establish alone, on the thread that calls it, and all are given
// back when the Pressure ends.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <thread>

#include "core/machine/ballast.h"
#include "core/machine/machine.h"

namespace faultline::bench {

/// How much memory is free while faults are measured, as the watermarks see it.
enum class FreeMemory : uint8_t {
  /// More than high, all the time. Allocations take the fast path.
  kPlenty,
  /// Between min and low, all the time: low at a phase's beginning, and the marks are wider apart
  /// than what a phase takes. Each allocation takes the slow path, wakes kswapd, and succeeds.
  kAtLowMark,
  /// Min at a phase's beginning. Whoever must not sleep fails there; whoever may enters direct
  /// reclaim and gets as many frames as it asks for, which serve the allocations after it, too.
  kAtMin,
  /// Below min, all the time: an entry of direct reclaim yields one frame above min and no more, as
  /// where other tasks take the rest. Whoever must not sleep fails, always; whoever may enters
  /// reclaim for each frame, and succeeds.
  kBelowMin,
};

/// Those that policies are compared under.
inline constexpr std::array kPolicyMemory{FreeMemory::kPlenty, FreeMemory::kAtLowMark,
                                          FreeMemory::kBelowMin};

[[nodiscard]] std::string_view Name(FreeMemory free);

/// `options` with watermarks for any FreeMemory: with so much more memory that a phase that takes
/// half of what `options` has fits between two marks.
[[nodiscard]] MachineOptions WithWatermarks(MachineOptions options);

/// Keeps a machine's free memory at a level, and is its pressure hook, while it lives.
class Pressure final : public PressureHook {
 public:
  /// For a machine made with WithWatermarks. Establishes the level.
  Pressure(Machine& machine, FreeMemory free);
  ~Pressure() override;
  Pressure(const Pressure&) = delete;
  Pressure& operator=(const Pressure&) = delete;

  /// Brings free memory to the level, by taking frames or giving some back. While nobody allocates
  /// and no Freer is on; what is on the lists of other CPUs than the caller's counts as taken.
  void Establish();

  void WakeKswapd() override { ballast_.WakeKswapd(); }
  [[nodiscard]] uint64_t DirectReclaim(uint64_t frames) override;

  [[nodiscard]] Ballast& ballast() { return ballast_; }

 private:
  [[nodiscard]] uint64_t Level() const;

  Machine& machine_;
  FrameAllocator& frames_;
  const FreeMemory free_;
  Ballast ballast_;
};

/// The task that "very slowly frees" (seed 004): a thread that gives back frames at a rate while it
/// is on.
class Freer {
 public:
  /// Off. Pinned to CPU 1, beside the one thread that faults.
  Freer();
  ~Freer();
  Freer(const Freer&) = delete;
  Freer& operator=(const Freer&) = delete;

  /// Frees `per_ms` frames of `ballast` a millisecond from now on; late, it catches up.
  void On(Ballast& ballast, double per_ms);
  /// Frees none any more when this returns.
  void Off();
  /// Frames that it freed so far. While it is off.
  [[nodiscard]] uint64_t freed() const { return freed_; }

 private:
  void Work();
  void FreeDueLocked();

  std::mutex mutex_;
  std::condition_variable changed_;
  Ballast* ballast_ = nullptr;  ///< guarded by mutex_, as what follows; null: off
  double per_ms_ = 0;
  int64_t since_ns_ = 0;
  uint64_t freed_since_ = 0;
  uint64_t freed_ = 0;
  bool quit_ = false;
  std::thread thread_;
};

}  // namespace faultline::bench
