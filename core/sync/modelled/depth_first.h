// SPDX-License-Identifier: Apache-2.0
//
// Depth-first search over schedules with a preemption bound, stateless: each schedule is run from
// the start. A preemption is a switch away from a fiber that could have gone on and did not yield.
//
// Pruning is bounded partial-order reduction (Coons, Musuvathi, McKinley: "Bounded Partial-Order
// Reduction", OOPSLA 2013): alternatives are tried only where two steps of different fibers touch a
// common word and one writes it, at that point and, since the bound counts preemptions, also at the
// starts of the blocks of steps around it, where switching costs none. No sleep sets: with a bound
// they are unsound. Happens-before is not used to drop pairs; that would need a proof under a
// bound. Guarantee, tested against the unpruned search: the same final states are reached.
#pragma once

#include <cstdint>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "core/base/build.h"
#include "core/sync/modelled/driver.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class Pruning : uint8_t { kNone, kBpor };

class DepthFirstDriver : public Driver {
 public:
  /// `bound` is the greatest number of preemptions in a schedule; at least 0.
  DepthFirstDriver(uint32_t bound, Pruning pruning) : bound_(bound), pruning_(pruning) {}

  /// Prepares the next schedule. False when all within the bound have been run. Before the first
  /// run there is nothing to prepare: call it after each run.
  [[nodiscard]] bool Advance();

  /// Preemptions in the schedule that was run last.
  [[nodiscard]] uint32_t preemptions() const;

  [[nodiscard]] int Choose(const Execution& execution, FiberMask eligible, int current) override;
  void StepDone(const Execution& execution, const Step& step) override;

 private:
  /// One scheduling point of the current schedule; its index is that of the step chosen there.
  struct Node {
    FiberMask eligible = 0;
    FiberMask todo = 0;  ///< to be tried here, pruned search only; others may be added later
    FiberMask done = 0;
    uint32_t preemptions = 0;   ///< in the schedule before this point
    uint32_t block = 0;         ///< first step of the run of steps by one fiber that this is in
    int8_t staying = kNoFiber;  ///< whom it costs nothing to choose; kNoFiber if all are free
    int8_t chosen = kNoFiber;
  };
  /// An access of the current schedule, chained to the one before it at the same address.
  struct ChainedAccess {
    uint32_t step;
    uint32_t before;  ///< index into chain_ plus 1; 0: none
    uint8_t fiber;
    bool write;
  };

  [[nodiscard]] uint32_t CostOf(const Node& node, int fiber) const {
    return node.staying != kNoFiber && node.staying != fiber ? 1 : 0;
  }
  [[nodiscard]] FiberMask Affordable(const Node& node) const;
  void BeginSchedule();
  void SetChosen(size_t index, int fiber);
  /// `newest` is where the chain of accesses to that word begins.
  void FindRaces(const Step& step, uint32_t index, const Access& access, uint32_t newest);
  void Backtrack(uint32_t index, FiberMask fibers);
  void AddTodo(uint32_t index, FiberMask fibers);

  const uint32_t bound_;
  const Pruning pruning_;
  std::vector<Node> nodes_;
  size_t prefix_ = 0;  // nodes before this one repeat the last schedule
  bool in_schedule_ = false;

  // Of the current schedule; pruned search only.
  std::vector<ChainedAccess> chain_;
  absl::flat_hash_map<const void*, uint32_t> newest_;  // index into chain_ plus 1
  std::vector<uint32_t> last_step_;                    // per fiber: its newest step plus 1
};

}  // namespace faultline
