// SPDX-License-Identifier: Apache-2.0
//
// The seam between a modelled execution and whoever decides what happens next. An `Execution` owns
// fibers, memory and RCU state and knows nothing of searching; a `Driver` is asked at every
// scheduling point which eligible fiber runs. Depth-first search, PCT and replay are drivers; the
// virtual-time simulator (N CPUs, cache-line costs) will be another one, on the same fibers.
//
// Invariants: `Choose` returns an eligible fiber or kNoFiber; given the same answers, an execution
// repeats exactly, addresses of shared objects included.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/sync/modelled/op.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Execution;

/// One bit per fiber, bit i for fiber i.
using FiberMask = uint64_t;
inline constexpr int kMaxFibers = 64;
inline constexpr int kNoFiber = -1;

[[nodiscard]] constexpr FiberMask MaskOf(int fiber) { return FiberMask{1} << fiber; }

/// One shared word touched by a step.
struct Access {
  const void* address;
  uint32_t step;  ///< index into Execution::steps()
  bool write;
};

/// One executed step.
struct Step {
  Op op;
  uint64_t value = 0;      ///< what was loaded, stored or found; for reports
  bool has_value = false;  ///< false for other operations, and for one that ended the run
  uint32_t first_access = 0;
  uint32_t access_count = 0;  ///< complete once Driver::StepDone is told
  uint8_t fiber = 0;
};

class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;

  /// Picks who executes its announced operation next. `eligible` is never 0; `current` is the
  /// fiber that has just reached this point, or kNoFiber if it ended or the run begins. kNoFiber as
  /// an answer stops the run (RunStatus::kStopped).
  [[nodiscard]] virtual int Choose(const Execution& execution, FiberMask eligible, int current) = 0;

  /// A step is complete: its accesses are final. Called before the next Choose.
  virtual void StepDone(const Execution& /*execution*/, const Step& /*step*/) {}

  /// A waiter that may spin for a bounded time found its condition false. True: treat the budget as
  /// used up and let it sleep. Searches say so at once (spinning adds no behaviour that sleeping
  /// lacks); a simulator of time lets the waiter burn its budget first.
  [[nodiscard]] virtual bool SpinBudgetIsOver(const Execution& /*execution*/, uint32_t /*spins*/) {
    return true;
  }

  /// Work that costs time without touching shared state; see core/sync/work.h.
  virtual void Work(const Execution& /*execution*/, uint16_t /*tag*/, uint64_t /*units*/) {}
};

}  // namespace faultline
