// SPDX-License-Identifier: Apache-2.0
//
// Modelled busy waiting: a spinning fiber is not eligible until its condition holds. A bounded spin
// whose condition is false ends when the driver says that the budget is over (searches: at once).
#pragma once

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/spin.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Returns once `condition()` holds.
template <class Predicate>
void SpinUntil(const Predicate& condition, SourceLoc where = SourceLoc::Current()) {
  Execution* execution = Execution::Current();
  if (execution == nullptr) {
    MM_CHECK(condition());  // nobody else runs who could make it hold
    return;
  }
  // Evaluates the condition as part of the step, so what it stores through its captures is current.
  execution->Point({OpKind::kSpin, nullptr, where}, Condition(condition));
}

/// As above, but gives up when the budget is used. Returns whether the condition held.
template <class Predicate>
[[nodiscard]] bool SpinUntil(const Predicate& condition, SpinBudget budget,
                             SourceLoc = SourceLoc::Current()) {
  const Execution* execution = Execution::Current();
  for (uint32_t spins = 0; spins < budget.iterations; ++spins) {
    if (condition()) return true;
    if (execution == nullptr) continue;
    if (Execution::Current()->SpinBudgetIsOver(spins)) return false;
  }
  return false;
}

}  // namespace faultline
