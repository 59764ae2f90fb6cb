// SPDX-License-Identifier: Apache-2.0
//
// Random schedules in the manner of PCT (Burckhardt, Kothari, Musuvathi, Nagarakatti: "A Randomized
// Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010): fibers run by random
// priorities, which change at a few random steps. A bug that needs d ordering constraints among n
// fibers and k steps is hit with a probability of at least 1/(n*k^(d-1)) per schedule.
// Guarantee: schedule number i of a seed is the same in every process.
#pragma once

#include <array>
#include <cstdint>
#include <random>  // lint-allow(core_stays_pure): the generators are seeded
#include <vector>

#include "core/base/build.h"
#include "core/sync/modelled/driver.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class PctDriver : public Driver {
 public:
  /// `depth` is d above; at least 1.
  PctDriver(uint64_t seed, uint32_t depth) : seed_(seed), depth_(depth) { BeginSchedule(); }

  /// Prepares the next schedule; call it after each run.
  void Advance();

  [[nodiscard]] int Choose(const Execution& execution, FiberMask eligible, int current) override;

 private:
  void BeginSchedule();

  const uint64_t seed_;
  const uint32_t depth_;
  uint64_t schedule_ = 0;
  uint32_t longest_ = 16;  // steps of the longest run so far: k above
  uint32_t steps_ = 0;
  std::mt19937_64 random_;
  std::array<uint64_t, kMaxFibers> priority_{};
  std::vector<uint32_t> change_points_;
  uint64_t next_low_ = 0;  // priorities handed out at change points, each below all others
};

}  // namespace faultline
