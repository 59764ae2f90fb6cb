// SPDX-License-Identifier: Apache-2.0
//
// Explanations of single faults: when and where, which rungs it climbed and why it left each, how
// it ended, and for whom it waited longest (Linux: exceptions:page_fault_user with perf trace -F,
// which know nothing of locks, beside the lock contention tracepoints, which know nothing of
// faults).
//
// A task whose `fault_events` points to a ring has its faults recorded there; whoever set the
// pointer keeps the ring alive until it is taken back, by FaultRecording. The fault path keeps one
// FaultEventScope, which for all other tasks costs a load and a branch at each end.
// Invariant: one task at a time records into a ring; anybody may take a snapshot of it.
// Guarantee: recording is no scheduling point and takes no lock; what it says is the task's own
// view, in its own order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/build.h"
#include "core/base/types.h"
#include "core/observe/fault_reasons.h"
#include "core/sync/event_ring.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A set of rungs.
class FaultRungSet {
 public:
  constexpr void Add(FaultRung rung) { bits_ = static_cast<uint8_t>(bits_ | Bit(rung)); }
  [[nodiscard]] constexpr bool Has(FaultRung rung) const { return (bits_ & Bit(rung)) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  friend constexpr bool operator==(FaultRungSet, FaultRungSet) = default;

 private:
  static constexpr uint8_t Bit(FaultRung rung) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(rung));
  }
  uint8_t bits_ = 0;
};

/// One fault that has ended. Plain data.
struct FaultEvent {
  uint64_t begin = 0;     ///< by SyncClockNs
  uint64_t duration = 0;  ///< likewise
  VirtAddr address;
  uint64_t waited_ns = 0;                  ///< the longest wait for a lock, 0 if there was none
  uint32_t holder = 0;                     ///< task that held that lock, 0 if unknown
  uint32_t outcome = 0;                    ///< bits of FaultOutcome
  uint16_t holder_activity = 0;            ///< what the holder was doing (Activity), 0 if unknown
  LockRank waited_for = LockRank::kCount;  ///< rank of that lock; kCount: it did not wait
  uint8_t access = 0;                      ///< AccessKind
  FaultRungSet rungs;                      ///< those it was on
  /// It ended below a stack, for which it took mmap_lock for write on its last rung. Whether the
  /// stack grew is in the outcome.
  bool below_stack = false;
  /// Why it left each, or did not get onto it; the last reason where there were several. kNone for
  /// the rung on which it ended.
  std::array<LeaveReason, static_cast<size_t>(FaultRung::kCount)> reasons{};

  [[nodiscard]] bool waited() const { return waited_for != LockRank::kCount; }
  [[nodiscard]] LeaveReason reason(FaultRung rung) const {
    return reasons[static_cast<size_t>(rung)];
  }
};

/// The last faults of one task. A class of its own so that Task can name it.
class FaultEventRing : public EventRing<FaultEvent> {
 public:
  using EventRing<FaultEvent>::EventRing;
};

/// While it lives, the faults of the calling task go to `ring`, which outlives it; null: nowhere.
/// Starts and ends outside of faults.
class [[nodiscard]] FaultRecording {
 public:
  explicit FaultRecording(FaultEventRing* ring) : self_(CurrentTask()), outer_(self_.fault_events) {
    self_.fault_events = ring;
  }
  ~FaultRecording() { self_.fault_events = outer_; }
  FaultRecording(const FaultRecording&) = delete;
  FaultRecording& operator=(const FaultRecording&) = delete;

 private:
  Task& self_;
  FaultEventRing* outer_;
};

/// One fault of the calling task, from its begin to its end. Says nothing unless it is recorded.
/// Scopes may nest: each is an event, and a wait of the inner one is also the outer one's.
class [[nodiscard]] FaultEventScope {
 public:
  FaultEventScope(VirtAddr address, uint8_t access, Task& self = CurrentTask()) : self_(self) {
    if (self.fault_events != nullptr) [[unlikely]]
      Begin(address, access);
  }
  ~FaultEventScope() {
    if (open_.has_value()) [[unlikely]]
      End();
  }
  FaultEventScope(const FaultEventScope&) = delete;
  FaultEventScope& operator=(const FaultEventScope&) = delete;

  /// The fault got onto the rung.
  void Entered(FaultRung rung) {
    if (!open_.has_value()) [[likely]]
      return;
    open_->event.rungs.Add(rung);
    open_->event.reasons[static_cast<size_t>(rung)] = LeaveReason::kNone;
  }
  /// It left the rung, or did not get onto it.
  void Left(FaultRung rung, LeaveReason reason) {
    if (!open_.has_value()) [[likely]]
      return;
    open_->event.reasons[static_cast<size_t>(rung)] = reason;
  }
  /// It goes on with mmap_lock held for write, for the stack above to grow.
  void FoundBelowStack() {
    if (!open_.has_value()) [[likely]]
      return;
    open_->event.below_stack = true;
  }
  /// It did not end, and will be made again: no event.
  void Discard() { open_.reset(); }
  /// How it ended, in bits of FaultOutcome; 0 unless said.
  void SetOutcome(uint32_t outcome) {
    if (!open_.has_value()) [[likely]]
      return;
    open_->event.outcome = outcome;
  }

 private:
  struct Open {
    FaultEvent event;
    EndedWait waited_before;  // the task's longest wait when the scope began
  };
  void Begin(VirtAddr address, uint8_t access);
  void End();

  Task& self_;
  std::optional<Open> open_;  // while the fault is recorded
};

}  // namespace faultline
