// SPDX-License-Identifier: Apache-2.0
//
// What one fault left behind in statistics and events, as text that expectations can be written in:
// "validated no_anon_vma, vma_lock" is a fault that left the top rung since the VMA had no anon_vma
// and ended under the VMA's lock.
//
// Rungs come in the ladder's order, each with the reasons for leaving it; the one without a reason
// is where the fault ended. A reason that was counted more than once has its number behind it.
#pragma once

#include <string>

#include "core/observe/fault_counters.h"
#include "core/observe/fault_events.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace ladder_internal {

inline void Append(std::string& text, FaultRung rung, LeaveReason reason, int64_t times) {
  if (times == 0) return;
  if (!text.empty()) text += ", ";
  text += Name(rung);
  if (reason != LeaveReason::kNone) text += " " + std::string(Name(reason));
  if (times != 1) text += " x" + std::to_string(times);
}

}  // namespace ladder_internal

/// The faults between two snapshots.
[[nodiscard]] inline std::string LadderBetween(const FaultStatsSnapshot& before,
                                               const FaultStatsSnapshot& after) {
  std::string text;
  for (size_t r = 0; r < FaultStatsSnapshot::kRungs; ++r) {
    const auto rung = static_cast<FaultRung>(r);
    // Reasons first: where it ended comes last on a rung that it came back to.
    for (size_t i = 1; i <= FaultStatsSnapshot::kReasons; ++i) {
      const auto reason = static_cast<LeaveReason>(i % FaultStatsSnapshot::kReasons);
      ladder_internal::Append(text, rung, reason,
                              after.Left(rung, reason) - before.Left(rung, reason));
    }
  }
  return text;
}

/// The same from the fault's own record, which keeps one reason for each rung.
[[nodiscard]] inline std::string LadderOf(const FaultEvent& event) {
  std::string text;
  for (size_t r = 0; r < FaultStatsSnapshot::kRungs; ++r) {
    const auto rung = static_cast<FaultRung>(r);
    const bool left = event.reason(rung) != LeaveReason::kNone;
    if (left || event.rungs.Has(rung)) ladder_internal::Append(text, rung, event.reason(rung), 1);
  }
  return text;
}

}  // namespace faultline
