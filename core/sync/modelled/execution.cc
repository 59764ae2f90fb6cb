// SPDX-License-Identifier: Apache-2.0
//
// The course of a run: setup, prologues, scheduling points, end. What memory may be touched is in
// execution_memory.cc, RCU in execution_rcu.cc, the wording of reports in report.cc.
//
// Control passes directly from fiber to fiber: a scheduling point asks the driver on the stack of
// the fiber that reached it and switches only if another one was chosen.
#include "core/sync/modelled/execution.h"

#include <utility>

#if FAULTLINE_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#include "core/base/check.h"
#include "core/sync/heap.h"
#include "core/sync/lockdep.h"
#include "core/sync/modelled/execution_fiber.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

void EndRunOnFailedCheck(const char* message) {
  Execution* execution = Execution::Current();
  if (execution != nullptr && execution->InFiber()) {
    execution->Violate(ViolationKind::kInvariant, message);
  }
}

/// Thrown by a violation inside a condition, which is evaluated on somebody else's stack. The one
/// exception in core: nothing else leads out of a condition without running it on its own fiber.
struct FailedCondition {};

/// Whether the fiber may run: because its condition holds, or because evaluating it is a violation,
/// which the fiber will repeat and report as its own.
bool HoldsOrFails(const Condition& condition) {
  try {
    return condition.Holds();
  } catch (const FailedCondition&) {
    return true;
  }
}

}  // namespace

void Fiber::Main(Fiber& fiber) {
  while (true) fiber.execution.FiberMain(fiber);
}

Execution::Execution(const ExecutionOptions& options)
    : options_(options),
      memory_(options.arena_bytes),
      heap_(std::make_unique<Heap>(memory_.arena())),
      conductor_(std::make_unique<Fiber>(*this)),
      loop_(std::make_unique<LoopContext>()) {
  AdoptThreadContext(loop_->context);
  steps_.reserve(1024);
  accesses_.reserve(1024);
  SetCheckHandler(&EndRunOnFailedCheck);
}

Execution::~Execution() = default;

// -- The course of a run --------------------------------------------------------------------------

RunStatus Execution::Run(const Body& body, Driver& driver) {
  MM_CHECK(phase_ == Phase::kIdle);
#if FAULTLINE_ASAN
  // A fiber that is abandoned never frees what its frames own. The modelled heap has a leak check
  // of its own.
  const __lsan::ScopedDisabler leak_check_off;
#endif
  Execution* const outer = std::exchange(detail::tls_execution, this);
  body_ = &body;
  driver_ = &driver;
  ResetForRun();
  if (RunConductor(Phase::kSetup)) {
    RunPrologues();
    phase_ = Phase::kFibers;
    const int first = status_ == RunStatus::kCompleted ? PickNext(kNoFiber) : kNoFiber;
    if (first != kNoFiber) SwitchTo(*fibers_[static_cast<size_t>(first)]);
    if (status_ == RunStatus::kCompleted) StopCallbackFiber();
    if (status_ == RunStatus::kCompleted) RunConductor(Phase::kFinal);
  }
  phase_ = Phase::kIdle;
  detail::tls_execution = outer;
  return status_;
}

void Execution::ResetForRun() {
  memory_.Reset();
  steps_.clear();
  accesses_.clear();
  notes_.clear();
  names_.clear();
  outside_.clear();
  at_end_.clear();
  digest_function_ = nullptr;
  digest_ = 0;
  status_ = RunStatus::kCompleted;
  violation_.reset();
  retired_.clear();
  retired_done_ = 0;
  rcu_stamp_ = 0;
  rcu_sections_ = 0;
  stopping_ = false;
  evaluating_ = false;
  fiber_count_ = 0;
  callback_fiber_ = kNoFiber;
}

/// Lets the conductor run one phase alone. False if the run ended in it.
bool Execution::RunConductor(Phase phase) {
  phase_ = phase;
  Arm(*conductor_, "conductor", [this] { ConductorMain(); });
  SwitchTo(*conductor_);
  return status_ == RunStatus::kCompleted;
}

/// What setup and the final checks retire is freed right behind them: they run alone, so no grace
/// period is a choice.
void Execution::ConductorMain() {
  if (phase_ == Phase::kSetup) {
    (*body_)(*this);
    RunRipeCallbacks();
    return;
  }
  FinalChecks();
}

/// The code of every fiber, run after run. Comes back only when the fiber is armed again.
void Execution::FiberMain(Fiber& fiber) {
  fiber.code();
  if (fiber.rcu_depth != 0) Violate(ViolationKind::kLeak, "a task ended inside an RCU section\n");
  fiber.finished = true;
  if (phase_ == Phase::kFibers && !stopping_) {
    EndStep();
    const int next = PickNext(kNoFiber);
    if (next != kNoFiber) {
      SwitchTo(*fibers_[static_cast<size_t>(next)]);
      return;
    }
  }
  SwitchToLoop();
}

/// Lets every task run up to its first operation. Such code touches nothing shared, so the order is
/// no choice.
void Execution::RunPrologues() {
  callback_fiber_ = fiber_count_;
  Spawn("rcu", [this] { RunRcuCallbacks(); });
  phase_ = Phase::kPrologue;
  for (int i = 0; i < fiber_count_ && status_ == RunStatus::kCompleted; ++i) {
    SwitchTo(*fibers_[static_cast<size_t>(i)]);
  }
}

/// The callback fiber waits for grace periods for ever; at the end of a run it returns.
void Execution::StopCallbackFiber() {
  stopping_ = true;
  SwitchTo(*fibers_[static_cast<size_t>(callback_fiber_)]);
}

void Execution::FinalChecks() {
  for (const std::function<void()>& check : at_end_) check();
  if (digest_function_) digest_ = digest_function_();
  RunRipeCallbacks();
  CheckLeaks();
}

// -- Tasks ----------------------------------------------------------------------------------------

void Execution::Spawn(const char* name, std::function<void()> code) {
  MM_CHECK(phase_ == Phase::kSetup);
  MM_CHECK_LT(fiber_count_, kMaxFibers);
  if (static_cast<size_t>(fiber_count_) == fibers_.size()) {
    fibers_.push_back(std::make_unique<Fiber>(*this));
  }
  Fiber& fiber = *fibers_[static_cast<size_t>(fiber_count_)];
  fiber.index = fiber_count_++;
  Arm(fiber, name, std::move(code));
}

/// Makes a fiber ready to run `code` from its beginning.
void Execution::Arm(Fiber& fiber, const char* name, std::function<void()> code) const {
  if (!fiber.finished) fiber.stack.Rebuild();  // abandoned by an earlier run
  fiber.finished = false;
  fiber.code = std::move(code);
  fiber.ready = {};
  fiber.step_depth = 0;
  fiber.rcu_depth = 0;
  fiber.rcu_section = 0;
  fiber.rcu_began = 0;
  fiber.cursor = {};
  fiber.speculating_on = nullptr;
  Task& task = fiber.task;
  task.id_ = static_cast<uint32_t>(fiber.index + 2);  // 1 is the conductor's
  task.cpu_ = fiber.index == kNoFiber ? 0 : static_cast<uint32_t>(fiber.index);
  task.name_ = name;
  task.random_.seed(task.id_);
  task.token_.Reset(0);
  task.killed_.Reset(0);
  task.SetActivity(0);
  task.set_hooks(options_.lockdep ? uint32_t{kHookLockdep} : 0);
  task.held.Clear();
  task.waiting_for = {};
  task.waiting_holder = 0;
  task.preempt_off = 0;
  task.stats = &fiber.stats;
  task.alloc_scope = 0;  // of a scope in the middle of which a run ended
  task.fault_events = nullptr;
  task.longest_wait = {};
}

Task& Execution::TaskOf(int fiber) const { return fibers_[static_cast<size_t>(fiber)]->task; }

std::string_view Execution::FiberName(int fiber) const { return TaskOf(fiber).name(); }

const Op& Execution::pending(int fiber) const {
  return fibers_[static_cast<size_t>(fiber)]->pending;
}

bool Execution::HasEnded(int fiber) const { return fibers_[static_cast<size_t>(fiber)]->finished; }

void Execution::AtEnd(std::function<void()> check) { at_end_.push_back(std::move(check)); }

void Execution::DigestWith(std::function<uint64_t()> digest) {
  digest_function_ = std::move(digest);
}

void Execution::NameObject(const void* address, size_t size, const char* name) {
  names_.push_back({static_cast<const std::byte*>(address), size, name});
}

// -- Scheduling points ----------------------------------------------------------------------------

void Execution::Point(const Op& op, Condition ready) {
  if (phase_ == Phase::kSetup || phase_ == Phase::kFinal) {
    MM_CHECK(ready.Holds());  // nobody else runs who could make it hold
    return;
  }
  Fiber& self = *current_;
  if (self.step_depth > 0 && ready.Holds()) return;
  self.pending = op;
  self.ready = ready;
  if (phase_ == Phase::kPrologue) {
    SwitchToLoop();
  } else {
    EndStep();
    const int next = PickNext(self.index);
    if (next == kNoFiber) {
      SwitchToLoop();  // for good, unless this is the callback fiber, which is told to stop
    } else if (next != self.index) {
      SwitchTo(*fibers_[static_cast<size_t>(next)]);
    }
  }
  if (!stopping_) BeginStep(self);
}

void Execution::PointForAccess(OpKind kind, const void* address, SourceLoc where) {
  if (!evaluating_ && phase_ != Phase::kSetup && phase_ != Phase::kFinal &&
      current_->step_depth == 0) {
    Point({kind, address, where});
  }
  CheckTouch(kind, address, where);
}

void Execution::NoteAccess(const void* address, bool write, uint64_t value) {
  if (evaluating_ || phase_ != Phase::kFibers || steps_.empty()) return;
  accesses_.push_back({address, step_count() - 1, write});
  Step& step = steps_.back();
  const bool is_access = step.op.kind == OpKind::kLoad || step.op.kind == OpKind::kStore ||
                         step.op.kind == OpKind::kRmw;
  if (is_access && step.op.object == address) {
    step.value = value;
    step.has_value = true;
  }
}

void Execution::BeginStep(Fiber& fiber) {
  steps_.push_back({.op = fiber.pending,
                    .first_access = static_cast<uint32_t>(accesses_.size()),
                    .fiber = static_cast<uint8_t>(fiber.index)});
  if (step_count() > options_.step_limit) {
    Violate(ViolationKind::kStepLimit,
            "the run did not end within its step limit: a livelock, or a limit set too low");
  }
  if (fiber.rcu_section != 0 && fiber.rcu_began == 0) {
    // A section counts from its first step on; see execution_rcu.cc.
    fiber.rcu_began = ++rcu_stamp_;
    notes_.push_back({step_count() - 1, static_cast<uint8_t>(fiber.index), "rcu-enter", nullptr,
                      fiber.rcu_entered_at});
    NoteAccess(&grace_period_, /*write=*/false, 0);
  }
  if (fiber.ready.set()) {
    // Evaluated once more, to note what it reads.
    ++fiber.step_depth;
    MM_CHECK(fiber.ready.Holds());
    --fiber.step_depth;
    fiber.ready = {};
  }
}

void Execution::EndStep() {
  if (steps_.empty()) return;
  Step& step = steps_.back();
  step.access_count = static_cast<uint32_t>(accesses_.size()) - step.first_access;
  driver_->StepDone(*this, step);
}

FiberMask Execution::EligibleFibers() {
  FiberMask eligible = 0;
  for (int i = 0; i < fiber_count_; ++i) {
    const Fiber& fiber = *fibers_[static_cast<size_t>(i)];
    if (fiber.finished) continue;
    if (fiber.ready.set()) {
      // The condition belongs to that fiber, whose references and sections it may use.
      Fiber* const asking = std::exchange(current_, fibers_[static_cast<size_t>(i)].get());
      evaluating_ = true;
      const bool holds = HoldsOrFails(fiber.ready);
      evaluating_ = false;
      current_ = asking;
      if (!holds) continue;
    }
    eligible |= MaskOf(i);
  }
  return eligible;
}

/// Whom to run next, or kNoFiber if the run is over (status_ says how).
int Execution::PickNext(int current) {
  const FiberMask eligible = EligibleFibers();
  if (eligible == 0) {
    EndWithoutEligible();
    return kNoFiber;
  }
  const int next = driver_->Choose(*this, eligible, current);
  if (next == kNoFiber) {
    status_ = RunStatus::kStopped;
    return kNoFiber;
  }
  MM_CHECK((eligible & MaskOf(next)) != 0);
  return next;
}

/// Nobody can run: either all tasks have ended, or those left wait for ever.
void Execution::EndWithoutEligible() {
  bool all_finished = true;
  for (int i = 0; i < fiber_count_; ++i) {
    if (i != callback_fiber_ && !fibers_[static_cast<size_t>(i)]->finished) all_finished = false;
  }
  if (all_finished && retired_done_ == retired_.size()) return;
  status_ = RunStatus::kViolation;
  violation_ = {.kind = BlockedCycle() ? ViolationKind::kDeadlock : ViolationKind::kLostWakeup,
                .message = DescribeBlocked(),
                .fiber = kNoFiber};
}

void Execution::SwitchTo(Fiber& next) {
  FiberContext& from = current_ != nullptr ? current_->stack.context() : loop_->context;
  current_ = &next;
  current_task_ = &next.task;
  SwitchContext(from, next.stack.context());
}

void Execution::SwitchToLoop() {
  FiberContext& from = current_->stack.context();
  current_ = nullptr;
  current_task_ = nullptr;
  SwitchContext(from, loop_->context);
}

void Execution::Violate(ViolationKind kind, std::string message) {
  if (evaluating_) throw FailedCondition{};
  MM_CHECK(current_ != nullptr);
  status_ = RunStatus::kViolation;
  violation_ = {.kind = kind, .message = std::move(message), .fiber = current_->index};
  SwitchToLoop();
  MM_UNREACHABLE("a fiber that ended the run was resumed");
}

// -- What passes through to the driver ------------------------------------------------------------

bool Execution::SpinBudgetIsOver(uint32_t spins) {
  return phase_ != Phase::kFibers || driver_->SpinBudgetIsOver(*this, spins);
}

void Execution::Work(uint16_t tag, uint64_t units) {
  if (phase_ == Phase::kFibers) driver_->Work(*this, tag, units);
}

void Execution::Note(const char* what, const void* object, SourceLoc where) {
  if (phase_ != Phase::kFibers) return;
  notes_.push_back({step_count(), static_cast<uint8_t>(current_->index), what, object, where});
}

}  // namespace faultline
