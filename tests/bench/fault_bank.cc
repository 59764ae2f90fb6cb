// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_bank.h.
#include "tests/bench/fault_bank.h"

#include <algorithm>

#include "core/base/check.h"

namespace faultline::bench {

// -- PressedWorld ---------------------------------------------------------------------------------

void PressedWorld::Settle() {
  world_.Settle();
  pressure_.Establish();
}

void PressedWorld::BeforeFaults() {
  if (freer_) freer_->freer.On(pressure_.ballast(), freer_->per_ms);
}

void PressedWorld::AfterFaults() {
  if (freer_) freer_->freer.Off();
}

FaultCounts PressedWorld::Counts() {
  FaultCounts counts = world_.Counts();
  if (freer_) counts[static_cast<size_t>(FaultCount::kFreedByOthers)] = freer_->freer.freed();
  return counts;
}

// -- Bank -----------------------------------------------------------------------------------------

Bank::Bank(FreeMemory free, const FaultBenchOptions& options, const FaultOptions& scheme)
    : free_(free) {
  const uint64_t pages = std::max(options.touches, 4 * kMostSparseTouches);
  machine_ = NewMachine(WithWatermarks(MachineFor(pages, PageContents::kTag)));
  for (size_t i = 0; i < kPolicies; ++i) {
    FaultOptions with_policy = scheme;
    with_policy.pgtable_alloc = static_cast<TableAlloc>(i);
    // The one policy that needs it, and pays for it.
    with_policy.depth_known = with_policy.pgtable_alloc == TableAlloc::kRcuImpliesNowait;
    if (!IsAllowed(with_policy)) continue;
    mms_[i] = std::make_unique<OwnMm>(*machine_, with_policy, options.page_table_levels);
  }
  pressure_.emplace(*machine_, free);
}

Window Bank::Run(Crew& crew, size_t policy, const WindowSpec& spec,
                 std::optional<FreerAtRate> freer) {
  MM_CHECK(Has(policy) && spec.settle && spec.threads == 1);
  PressedWorld world(mms_[policy]->world(), *pressure_, freer);
  return RunFaultWindow(crew, world, spec);
}

}  // namespace faultline::bench
