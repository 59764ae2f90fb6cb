// SPDX-License-Identifier: Apache-2.0
//
// What a locking scheme is (DESIGN section 4). The fault path is a template over one; a scheme
// plugs in at the functions below and nowhere else. No step asks which lock is held: a step asks
// its scheme whether it may sleep, and, under the lock of the table that it is about to write,
// whether what it knows of the VMA still holds.
//
// A scheme is one rung of the ladder and names the rung below it. Two families:
//   locking     keeps the VMA from changing from Begin to End, and may sleep meanwhile;
//   validating  copies the VMA, reads tables inside an RCU section, and asks StillValid.
//
// docs/adding-a-scheme.md goes through one from end to end.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "core/base/build.h"
#include "core/fault/fault.h"
#include "core/fault/fault_context.h"
#include "core/fault/fault_options.h"
#include "core/vma/vma_marks.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How long the memory of a VMA stays a VMA's after it was detached.
enum class VmaLifetime : uint8_t {
  kTypeStable,  ///< for ever, but perhaps another VMA at once (B15): readers count
  kRcu,         ///< this VMA for a grace period more: readers find it under RCU
};

/// What everybody else has to know of a scheme.
struct SchemeInfo {
  SchemeName scheme;
  std::string_view name;
  VmaLifetime lifetime = VmaLifetime::kTypeStable;
  WriteDuties duties = 0;                         ///< of writers, for its readers
  bool may_sleep = false;                         ///< on its first rung, while it holds the VMA
  TableAlloc default_alloc = TableAlloc::kEager;  ///< what its source asks for at least
};

/// What every scheme's hold has. Made empty, filled by Begin.
struct FaultHold {
  explicit FaultHold(FaultRung first_rung) : rung(first_rung) {}
  VmaView view;  ///< after a successful Begin
  FaultRung rung;
  LeaveReason reason = LeaveReason::kNone;        ///< why Begin, or a step, said no
  LeaveReason upgraded_for = LeaveReason::kNone;  ///< why it is on another rung than it began on
  FaultOutcome refusal = 0;  ///< after a failed Begin: what ends the fault, if any
  /// What a commit made of the fault; that it was an error the outcome says.
  FaultKind kind = FaultKind::kSpurious;
};

/// What every scheme has.
template <class S>
concept FaultScheme = requires(FaultTarget& target, const FaultRequest& request,
                               typename S::Hold& hold, const typename S::Hold& const_hold) {
  requires std::derived_from<typename S::Hold, FaultHold>;
  requires std::default_initializable<typename S::Hold>;
  /// Finds the VMA of the address, fills the view. False: nothing is held; the reason, or what ends
  /// the fault, is in the hold.
  { S::Begin(target, request, hold) } -> std::same_as<bool>;
  /// Asked with the lock of the table held that is written next, right before it is.
  { S::StillValid(target, const_hold) } -> std::same_as<bool>;
  /// Whether the hold lasts over sleeping.
  { S::MaySleep(const_hold) } -> std::same_as<bool>;
  /// Ends a hold: exactly once after each successful Begin.
  { S::End(target, hold) };
  /// The rung below; void for the last one.
  typename S::Fallback;
  { S::kHoldsMmapLock } -> std::convertible_to<bool>;
};

/// Can leave its RCU section for something that sleeps, and come back: Suspend drops every table
/// pointer; Resume validates and walks again from the root. After a failed Resume only End may
/// follow.
template <class S>
concept SuspendingScheme =
    FaultScheme<S> && requires(FaultTarget& target, typename S::Hold& hold, WalkState& walk) {
      { S::Suspend(hold) };
      { S::Resume(target, hold, walk) } -> std::same_as<bool>;
    } && requires(const VmaView& view, const FaultRequest& request) {
      /// Whether a fault on a page of a Mapping, which is not mapped yet, is left to the rungs
      /// below.
      { S::RefusesMapping(view, request) } -> std::same_as<bool>;
    };

/// Can become a hold that lasts over sleeping, without leaving its RCU section before it is one.
template <class S>
concept UpgradingScheme =
    FaultScheme<S> && requires(FaultTarget& target, typename S::Hold& hold, LeaveReason why) {
      { S::Upgrade(target, hold, why) } -> std::same_as<bool>;
    };

template <class S>
inline constexpr bool kIsLastRung = std::is_void_v<typename S::Fallback>;

/// What the schemes that hold a lock have in common.
struct LockingScheme {
  static constexpr bool kHoldsMmapLock = false;
  [[nodiscard]] static bool StillValid(const FaultTarget& /*target*/, const FaultHold& /*hold*/) {
    return true;
  }
  [[nodiscard]] static bool MaySleep(const FaultHold& /*hold*/) { return true; }
};

/// What the schemes that validate have in common.
struct ValidatingScheme {
  static constexpr bool kHoldsMmapLock = false;
  [[nodiscard]] static bool MaySleep(const FaultHold& /*hold*/) { return false; }
};

/// Whether the step that is about to write has to ask at all: not where writers wait for all faults
/// that began before their mark (B14).
[[nodiscard]] inline bool AsksStillValid(const FaultTarget& target) {
  return target.options.guard != FaultGuard::kGracePeriodBeforeZap;
}

/// Notes why a step cannot go on on this rung.
[[nodiscard]] inline FaultOutcome Leave(FaultHold& hold, LeaveReason reason) {
  hold.reason = reason;
  return fault_bit::kRetry;
}

}  // namespace faultline
