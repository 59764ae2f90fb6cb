// SPDX-License-Identifier: Apache-2.0
//
// The modelled build's side of tasks, atomic steps and instrumentation: what the native build does
// with futexes, threads and clocks.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/base/check.h"
#include "core/sync/atomic_step.h"
#include "core/sync/lock_stats.h"
#include "core/sync/lockdep.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/execution_fiber.h"
#include "core/sync/sync_clock.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

// -- Tasks ----------------------------------------------------------------------------------------

void Task::Park(SourceLoc where) {
  Task& self = CurrentTask();
  MM_DCHECK_EQ(self.no_wait, 0u);
  MaySleep("park", where);
  Execution* execution = Execution::Current();
  MM_CHECK(execution != nullptr);  // an idle task has nobody to wake it
  const auto has_token = [&] { return self.token_.Load(kAcquire, where) != 0; };
  const AtomicStep step(LockDetail::kAll, OpKind::kPark, &self.token_, where, has_token);
  self.token_.Store(0, kRelaxed, where);
}

void Task::Unpark(SourceLoc where) {
  const AtomicStep step(LockDetail::kAll, OpKind::kUnpark, &token_, where);
  token_.Store(1, kRelease, where);  // pairs with Park
}

void Task::Kill() {
  killed_.Store(1, kRelease);  // pairs with killed()
  Unpark();
}

Task& detail::IdleTask() {
  constexpr uint32_t kIdleId = 8192;  // beyond the ids of an execution; not 0, which means "free"
  static thread_local Task task(kIdleId);
  return task;
}

uint16_t detail::ActivityOfTask(uint32_t id) {
  uint16_t activity = 0;
  if (const auto* execution = Execution::Current()) {
    const_cast<Execution*>(execution)->ForEachTask([&](const Task& task) {
      if (task.id() == id) activity = task.activity();
    });
  }
  return activity;
}

// -- Atomic steps ---------------------------------------------------------------------------------

AtomicStep::AtomicStep(LockDetail dissolved_by, const Op& op, Condition ready) : active_(false) {
  Execution* execution = Execution::Current();
  if (execution == nullptr) return;
  // Parking and unparking are primitives: nothing inside them is worth showing.
  const bool is_primitive = op.kind == OpKind::kPark || op.kind == OpKind::kUnpark;
  if (!is_primitive && execution->detail() >= dissolved_by) return;
  active_ = true;
  execution->Point(op, ready);
  ++execution->current_fiber().step_depth;
}

AtomicStep::~AtomicStep() {
  if (active_) --Execution::Current()->current_fiber().step_depth;
}

// -- Instrumentation ------------------------------------------------------------------------------

uint64_t SyncClockNs() {
  const Execution* execution = Execution::Current();
  return execution != nullptr ? uint64_t{execution->step_count()} + 1 : 1;
}

void SetLockStatsLevel(LockStatsLevel level) {
  uint32_t hooks = 0;
  if (level >= LockStatsLevel::kWaits) hooks |= kHookWaits;
  if (level >= LockStatsLevel::kHolds) hooks |= kHookHolds;
  if (Execution* execution = Execution::Current()) {
    execution->ForEachTask(
        [hooks](Task& task) { task.set_hooks((task.hooks() & uint32_t{kHookLockdep}) | hooks); });
  }
}

void SetLockdep(bool on) {
  if (Execution* execution = Execution::Current()) {
    execution->ForEachTask([on](Task& task) {
      const uint32_t others = task.hooks() & ~uint32_t{kHookLockdep};
      task.set_hooks(on ? others | kHookLockdep : others);
    });
  }
}

LockStatsSnapshot SnapshotLockStats() {
  LockStatsSnapshot sum{};
  if (Execution* execution = Execution::Current()) {
    execution->ForEachTask([&](const Task& task) { task.stats->AddTo(sum); });
  }
  return sum;
}

LockStatsByCaller SnapshotLockStatsByCaller() {
  LockStatsByCaller sum;
  if (Execution* execution = Execution::Current()) {
    execution->ForEachTask([&](const Task& task) { task.stats->callers().AddTo(sum); });
  }
  return sum;
}

void ResetLockStats() {
  if (Execution* execution = Execution::Current()) {
    execution->ForEachTask([](const Task& task) { task.stats->Reset(); });
  }
}

void detail::DefaultLockdepReport(LockdepProblem problem, std::string_view text) {
  Execution* execution = Execution::Current();
  if (execution == nullptr) {
    std::fprintf(stderr, "%.*s", static_cast<int>(text.size()), text.data());
    std::abort();
  }
  switch (problem) {
    case LockdepProblem::kOrder:
    case LockdepProblem::kRecursion:
      execution->Violate(ViolationKind::kLockOrder, std::string(text));
    case LockdepProblem::kMisuse:
      execution->Violate(ViolationKind::kLockMisuse, std::string(text));
    case LockdepProblem::kContext:
      execution->Violate(ViolationKind::kSleepInAtomic, std::string(text));
  }
  MM_UNREACHABLE("unknown LockdepProblem");
}

}  // namespace faultline
