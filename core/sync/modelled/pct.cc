// SPDX-License-Identifier: Apache-2.0
//
// Implementation of pct.h.
#include "core/sync/modelled/pct.h"

#include <algorithm>
#include <bit>

#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void PctDriver::Advance() {
  longest_ = std::max(longest_, steps_);
  ++schedule_;
  BeginSchedule();
}

void PctDriver::BeginSchedule() {
  std::seed_seq seeds{static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32),
                      static_cast<uint32_t>(schedule_), static_cast<uint32_t>(schedule_ >> 32)};
  random_.seed(seeds);
  for (uint64_t& priority : priority_) priority = random_() | (uint64_t{1} << 63);
  change_points_.clear();
  for (uint32_t i = 1; i < depth_; ++i) {
    // Modulo, not std::uniform_int_distribution, whose results differ between libraries.
    change_points_.push_back(static_cast<uint32_t>(random_() % longest_));
  }
  next_low_ = uint64_t{1} << 62;
  steps_ = 0;
}

int PctDriver::Choose(const Execution& execution, FiberMask eligible, int current) {
  const uint32_t step = execution.step_count();
  steps_ = step + 1;
  if (current != kNoFiber) {
    const bool yields = execution.pending(current).kind == OpKind::kYield;
    const bool changes =
        std::find(change_points_.begin(), change_points_.end(), step) != change_points_.end();
    if (yields || changes) priority_[static_cast<size_t>(current)] = --next_low_;
  }
  int best = std::countr_zero(eligible);
  for (FiberMask rest = eligible; rest != 0; rest &= rest - 1) {
    const int fiber = std::countr_zero(rest);
    if (priority_[static_cast<size_t>(fiber)] > priority_[static_cast<size_t>(best)]) best = fiber;
  }
  return best;
}

}  // namespace faultline
