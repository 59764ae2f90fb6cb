// SPDX-License-Identifier: Apache-2.0
//
// Carrying out a script; see lab_thread.h. The loop is: next operation, one switch, count.
//
// A fork's child is an mm of the core that only this thread knows: it becomes the child, and frees
// all of it at its end before it is the parent again.
#include "server/lab_thread.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "core/sync/sync_clock.h"
#include "proto/columns/kinds.h"
#include "server/lab_observe.h"
#include "server/operation_run.h"

namespace faultline::server {
namespace {

using workload::Action;
using workload::Operation;
using workload::Script;

}  // namespace

LabThread::LabThread(Role role, LabGate& gate)
    : role_(std::move(role)), gate_(gate), script_(role_.plan, role_.identity), mm_(&role_.mm) {
  const workload::PlannedActor& actor = role_.plan.actors()[role_.identity.actor];
  if (actor.pace) {
    pacer_.emplace(*actor.pace, role_.identity.seed, role_.identity.actor, role_.identity.thread);
  }
}

void LabThread::Run() {
  task_ = &CurrentTask();
  clockid_t clock{};
  if (pthread_getcpuclockid(pthread_self(), &clock) == 0) {
    cpu_clock_.store(clock, std::memory_order_relaxed);
    // Release pairs with CpuNs.
    has_cpu_clock_.store(true, std::memory_order_release);
  }
  mm_->AttachTask(*task_);
  if (role_.maps_for_mm) (void)Perform(Script::Part::kMapForMm);
  if (gate_.PassTogether() && Perform(Script::Part::kMapForThread) &&
      Perform(Script::Part::kSetup)) {
    if (const uint64_t started = gate_.AwaitStart(); started != 0) Loop(started);
  }
  while (!parents_.empty()) EndChild();
  mm_->DetachTask(*task_);
  task_->ClearKill();
  // What it cost is read before the thread of the host goes on with something else.
  gate_.Left();
}

uint64_t LabThread::CpuNs() const {
  timespec time{};
  // Acquire pairs with Run.
  if (!has_cpu_clock_.load(std::memory_order_acquire) ||
      clock_gettime(cpu_clock_.load(std::memory_order_relaxed), &time) != 0) {
    return 0;
  }
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

void LabThread::Loop(uint64_t started_ns) {
  const workload::PlannedActor& actor = role_.plan.actors()[role_.identity.actor];
  if (actor.loop.begin == actor.loop.end) return gate_.AwaitEnd(LabGate::Done::kForNow);
  while (const auto start = AwaitRound(started_ns)) {
    const uint64_t begin = SyncClockNs();
    if (!Perform(Script::Part::kLoop)) return;
    const uint64_t end = SyncClockNs();
    round_ended_ns_ = end;
    figures_.rounds.Add(1);
    if (gate_.phase() != LabGate::Phase::kMeasuring) continue;
    figures_.measured_rounds.Add(1);
    if (start->late) figures_.late_rounds.Add(1);
    (void)figures_.round_latency.Add(end - std::min(begin, start->intended_ns));
    (void)figures_.round_service.Add(end - begin);
    if (actor.rounds != 0 && figures_.measured_rounds.Read() == actor.rounds) {
      return gate_.AwaitEnd(LabGate::Done::kAllRounds);
    }
  }
}

std::optional<LabThread::RoundStart> LabThread::AwaitRound(uint64_t started_ns) {
  // Killed while it is not over: its mm exits.
  if (task_->killed()) gate_.Enter(LabGate::Phase::kOver);
  if (gate_.over()) return {};
  if (!pacer_) return RoundStart{.intended_ns = SyncClockNs(), .late = false};
  const uint64_t intended = started_ns + pacer_->NextStart();
  // It is late if the one before took too long; that the host wakes it late is the host's affair.
  const bool late = round_ended_ns_ > intended;
  if (!late && !gate_.SleepUntil(intended)) return {};
  return RoundStart{.intended_ns = intended, .late = late};
}

bool LabThread::Perform(Script::Part part) {
  script_.Begin(part);
  while (!gate_.over()) {
    if (!script_.Next(op_)) return true;
    CarryOut(op_);
  }
  return false;
}

void LabThread::CarryOut(const Operation& op) {
  // The end of a child belongs to the fork's step, which has begun.
  if (role_.times_steps && !in_step_ && op.action != Action::kChildEnd) BeginStep();
  switch (op.action) {
    case Action::kCall:
      Call(op);
      break;
    case Action::kFork:
      return Fork();
    case Action::kChildEnd:
      EndChild();
      break;
    case Action::kObserve:
      figures_.operations.Add(1);
      if (!ReadToTheEnd(*role_.observed, op.file, op.mode).ok()) CountFailure();
      break;
    case Action::kNothing:
      break;
  }
  if (role_.times_steps && op.last_of_step) EndStep(op.step);
}

void LabThread::Call(const Operation& op) {
  if (op.kind == v1::OPERATION_KIND_PAUSE) return Pause(op.length);
  figures_.operations.Add(1);
  const std::optional<uint64_t> address = slots_.AddressOf(op);
  if (!address) return Failed(op);
  const OperationEnd end = RunOperation(*mm_, {.kind = op.kind,
                                               .address = VirtAddr(*address),
                                               .length = op.length,
                                               .arguments = op.argument,
                                               .file = FileOf(op)});
  if (columns::TraitsOf(op.kind).is_access()) {
    if (!end.outcome.ok()) CountFailure();
    return;
  }
  if (!end.outcome.ok()) return Failed(op);
  slots_.Succeeded(op, end.value);
}

Mapping* LabThread::FileOf(const Operation& op) const {
  const bool maps_file = op.kind == v1::OPERATION_KIND_MMAP && op.argument[2] < role_.files.size();
  return maps_file ? role_.files[op.argument[2]] : nullptr;
}

void LabThread::Fork() {
  figures_.operations.Add(1);
  const Result<Mm*> child = mm_->Fork();
  if (!child.ok()) {
    CountFailure();
    script_.SkipChild();
    if (role_.times_steps) EndStep(v1::Step::kFork);
    return;
  }
  mm_->DetachTask(*task_);
  parents_.push_back(std::exchange(mm_, *child));
  mm_->AttachTask(*task_);
  slots_.EnterChild();
  in_step_ = false;  // The child's steps are timed by themselves.
}

void LabThread::EndChild() {
  Mm* const child = std::exchange(mm_, parents_.back());
  parents_.pop_back();
  child->DetachTask(*task_);
  child->Exit();
  child->DropUser();
  mm_->AttachTask(*task_);
  slots_.LeaveChild();
}

void LabThread::Pause(uint64_t nanoseconds) { (void)gate_.SleepUntil(SyncClockNs() + nanoseconds); }

void LabThread::CountFailure() {
  figures_.failed.Add(1);
  // Its mm exits, so everything would fail from now on.
  if (task_->killed()) [[unlikely]]
    gate_.Enter(LabGate::Phase::kOver);
}

/// The rest of its step is left out, as the step's latency is.
void LabThread::Failed(const Operation& op) {
  CountFailure();
  slots_.Failed(op);
  if (op.last_of_step) return;
  script_.SkipStep();
  if (role_.times_steps) EndStep(op.step);
}

void LabThread::BeginStep() {
  in_step_ = true;
  step_begins_.push_back(SyncClockNs());
}

void LabThread::EndStep(v1::Step::StepCase step) {
  in_step_ = false;
  if (step_begins_.empty()) return;
  const uint64_t begin = step_begins_.back();
  step_begins_.pop_back();
  if (gate_.phase() != LabGate::Phase::kMeasuring) return;
  (void)figures_.steps[static_cast<size_t>(step)].Add(SyncClockNs() - begin);
}

}  // namespace faultline::server
