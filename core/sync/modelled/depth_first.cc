// SPDX-License-Identifier: Apache-2.0
//
// Implementation of depth_first.h.
#include "core/sync/modelled/depth_first.h"

#include <bit>

#include "core/base/check.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/replay.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool DepthFirstDriver::Advance() {
  in_schedule_ = false;
  while (!nodes_.empty()) {
    Node& node = nodes_.back();
    node.done |= MaskOf(node.chosen);
    const FiberMask wanted = pruning_ == Pruning::kNone ? node.eligible : node.todo;
    const FiberMask left = wanted & ~node.done & Affordable(node);
    if (left != 0) {
      SetChosen(nodes_.size() - 1, std::countr_zero(left));
      prefix_ = nodes_.size();
      return true;
    }
    nodes_.pop_back();
  }
  return false;
}

/// The fibers that may be chosen at `node` without exceeding the bound.
FiberMask DepthFirstDriver::Affordable(const Node& node) const {
  if (node.preemptions < bound_ || node.staying == kNoFiber) return ~FiberMask{0};
  return MaskOf(node.staying);
}

uint32_t DepthFirstDriver::preemptions() const {
  if (nodes_.empty()) return 0;
  return nodes_.back().preemptions + CostOf(nodes_.back(), nodes_.back().chosen);
}

int DepthFirstDriver::Choose(const Execution& execution, FiberMask eligible, int current) {
  if (!in_schedule_) BeginSchedule();
  const uint32_t index = execution.step_count();
  if (index < prefix_) {
    // A run repeats exactly; if not, the scenario depends on something besides its schedule.
    MM_CHECK_EQ(nodes_[index].eligible, eligible);
    return nodes_[index].chosen;
  }
  Node node;
  node.eligible = eligible;
  const bool can_stay = current != kNoFiber && (eligible & MaskOf(current)) != 0 &&
                        execution.pending(current).kind != OpKind::kYield;
  node.staying = static_cast<int8_t>(can_stay ? current : kNoFiber);
  node.preemptions = preemptions();
  const int chosen = ChooseWithoutPreemption(execution, eligible, current);
  node.todo = MaskOf(chosen);
  nodes_.push_back(node);
  SetChosen(index, chosen);
  return chosen;
}

void DepthFirstDriver::SetChosen(size_t index, int fiber) {
  Node& node = nodes_[index];
  node.chosen = static_cast<int8_t>(fiber);
  const bool joins = index > 0 && nodes_[index - 1].chosen == fiber;
  node.block = joins ? nodes_[index - 1].block : static_cast<uint32_t>(index);
}

void DepthFirstDriver::BeginSchedule() {
  in_schedule_ = true;
  chain_.clear();
  newest_.clear();
  last_step_.assign(kMaxFibers, 0);
}

void DepthFirstDriver::StepDone(const Execution& execution, const Step& step) {
  if (pruning_ == Pruning::kNone) return;
  const auto index = static_cast<uint32_t>(&step - execution.steps().data());
  const auto accesses = execution.accesses().subspan(step.first_access, step.access_count);
  // The races of all but the last step of the prefix were found by an earlier schedule.
  const bool is_new = index + 1 >= prefix_;
  // Backwards, for a step's last access to a word is the one that writes it, if any does.
  for (size_t i = accesses.size(); i-- > 0;) {
    const Access& access = accesses[i];
    uint32_t& newest = newest_[access.address];
    ChainedAccess* known = newest != 0 ? &chain_[newest - 1] : nullptr;
    if (known != nullptr && known->step != index) known = nullptr;  // of another step
    if (known != nullptr && (known->write || !access.write)) continue;
    if (is_new) FindRaces(step, index, access, newest);
    if (known != nullptr) {
      known->write = true;
      continue;
    }
    chain_.push_back({index, newest, step.fiber, access.write});
    newest = static_cast<uint32_t>(chain_.size());
  }
  last_step_[step.fiber] = index + 1;
}

/// Finds the steps of other fibers that conflict with an access of `step` and that `step` could
/// have preceded, and has those orders tried. Every one of them, not only each fiber's latest: a
/// search without a bound comes from the latest to the one before by way of the order between, but
/// that order may exceed a bound that the one before keeps (two critical sections of one fiber, the
/// other fiber coming before the first: PruningRegressionTest, OrderBehindOneThatExceedsTheBound).
void DepthFirstDriver::FindRaces(const Step& step, uint32_t index, const Access& access,
                                 uint32_t newest) {
  for (uint32_t i = newest; i != 0; i = chain_[i - 1].before) {
    const ChainedAccess& other = chain_[i - 1];
    if (other.fiber == step.fiber || (!access.write && !other.write)) continue;
    MM_DCHECK_LT(other.step, index);
    const Node& node = nodes_[other.step];
    if ((node.eligible & MaskOf(step.fiber)) != 0) {
      Backtrack(other.step, MaskOf(step.fiber));
      continue;
    }
    // The fiber was blocked there. If on this very operation, and `other` is what unblocks it (a
    // release, an unpark), they were never eligible together: look further back. Otherwise someone
    // else may have to go first for the order to be turned round: try everyone.
    const bool waited_for_this = last_step_[step.fiber] <= other.step;
    const bool unblocks = waited_for_this && access.address == step.op.object;
    if (!unblocks) Backtrack(other.step, node.eligible);
  }
}

/// Has `fibers` tried at that point and at the starts of its block and of the block before, where
/// the same order may cost fewer preemptions.
void DepthFirstDriver::Backtrack(uint32_t index, FiberMask fibers) {
  AddTodo(index, fibers);
  const uint32_t start = nodes_[index].block;
  if (start != index) AddTodo(start, fibers);
  if (start != 0) AddTodo(nodes_[start - 1].block, fibers);
}

void DepthFirstDriver::AddTodo(uint32_t index, FiberMask fibers) {
  Node& node = nodes_[index];
  const FiberMask possible = fibers & node.eligible;
  node.todo |= possible != 0 ? possible : node.eligible;
}

}  // namespace faultline
