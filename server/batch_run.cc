// SPDX-License-Identifier: Apache-2.0
//
// Operations one by one; see batch_run.h.
#include "server/batch_run.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include "core/folio/no_wait_scope.h"
#include "core/sync/sync_clock.h"
#include "server/fault_messages.h"
#include "server/options.h"

namespace faultline::server {
namespace {

using columns::Outcome;

/// How long a range may be that is touched without the right to wait.
constexpr uint64_t kMostBytesAtOnce = 64 * kPageSize;

/// As long as a client asks, but no longer than the clock can tell.
absl::Duration Nanoseconds(uint64_t ns) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  return absl::Nanoseconds(static_cast<int64_t>(std::min(ns, kMost)));
}

}  // namespace

BatchRun::BatchRun(SimulatedThread& thread, const v1::OperationBatch& batch,
                   v1::OperationResults& results)
    : thread_(thread),
      batch_(batch),
      results_(results),
      reader_(batch),
      writer_(results),
      begin_ns_(SyncClockNs()) {
  writer_.Begin(batch);
  results.set_begin_ns(begin_ns_);
  if (batch.with_rungs() && thread.events() == nullptr) events_.emplace(1);
}

bool BatchRun::Continue(Patience patience) {
  std::optional<NoWaitScope> no_wait;
  if (patience == Patience::kNoWait) no_wait.emplace();
  const auto kind = reader_.uniform_kind();
  const bool plain = !batch_.with_latencies() && !batch_.with_rungs() && !reader_.has_bases() &&
                     thread_.progress() == nullptr;
  const auto fault = plain && kind ? FaultOf(*kind) : std::nullopt;
  if ((fault ? RunFaults(*fault) : RunAny(patience)) == Stop::kWouldWait) return false;
  const bool all = next_ == reader_.operations();
  writer_.End(next_, all && end_ == v1::BATCH_END_FAILURE ? v1::BATCH_END_UNSPECIFIED : end_);
  results_.set_elapsed_ns(SyncClockNs() - begin_ns_);
  return true;
}

BatchRun::Stop BatchRun::RunFaults(FaultRequest request) {
  Mm& mm = thread_.mm();
  const uint32_t operations = reader_.operations();
  while (next_ < operations) {
    request.addr = VirtAddr(reader_.address(next_));
    const AccessOutcome access = mm.Fault(request);
    if (!access.ok()) [[unlikely]] {
      if (access.end == AccessEnd::kWouldWait) return Stop::kWouldWait;
      writer_.SetOutcome(next_, OutcomeOf(access));
    }
    if (EndsAfter(!access.ok())) break;
  }
  return Stop::kEnded;
}

BatchRun::Stop BatchRun::RunAny(Patience patience) {
  std::optional<FaultRecording> recording;
  if (events_) recording.emplace(&*events_);
  while (next_ < reader_.operations()) {
    if (RunOne(patience) == Stop::kWouldWait) return Stop::kWouldWait;
    const bool failed = !writer_.outcome(next_).ok();
    if (thread_.progress() != nullptr) thread_.progress()->CountOne();
    if (EndsAfter(failed)) break;
  }
  return Stop::kEnded;
}

BatchRun::Stop BatchRun::RunOne(Patience patience) {
  const ReadyOperation operation = taken_ ? *taken_ : Take();
  const uint32_t base = reader_.base(next_);
  if (base != 0 && !writer_.outcome(base - 1).ok()) {
    writer_.SetOutcome(next_, Outcome::Skipped());
    return Stop::kEnded;
  }
  const FaultEventRing* const events = CurrentTask().fault_events;
  const uint64_t faults_before = batch_.with_rungs() ? events->written() : 0;
  const uint64_t begin = batch_.with_latencies() ? SyncClockNs() : 0;
  const OperationEnd end = CarryOut(operation, patience);
  if (end.would_wait) {
    taken_ = operation;
    return Stop::kWouldWait;
  }
  taken_.reset();
  if (batch_.with_latencies()) writer_.SetLatency(next_, SyncClockNs() - begin);
  writer_.SetOutcome(next_, end.outcome);
  writer_.SetValue(next_, end.value);
  if (batch_.with_rungs() && events->written() != faults_before) {
    if (const auto event = events->Last()) writer_.SetRungs(next_, RungsOf(*event));
  }
  return Stop::kEnded;
}

ReadyOperation BatchRun::Take() {
  const v1::OperationKind kind = reader_.kind(next_);
  uint64_t address = reader_.address(next_);
  if (const uint32_t base = reader_.base(next_); base != 0) address += writer_.value(base - 1);
  return {.kind = kind,
          .address = VirtAddr(address),
          .length = reader_.length(next_),
          .arguments = reader_.TakeArguments(kind)};
}

bool BatchRun::EndsAfter(bool failed) {
  ++next_;
  if (thread_.killed()) [[unlikely]] {
    end_ = thread_.exiting() ? v1::BATCH_END_MM_EXITED : v1::BATCH_END_KILLED;
    return true;
  }
  if (!failed || !batch_.stop_at_failure()) return false;
  end_ = v1::BATCH_END_FAILURE;
  return true;
}

OperationEnd BatchRun::CarryOut(const ReadyOperation& operation, Patience patience) {
  const bool is_access = columns::TraitsOf(operation.kind).is_access();
  // Who may not wait serves others meanwhile: what is no access may sleep, a range take long.
  if (patience == Patience::kNoWait && (!is_access || operation.length > kMostBytesAtOnce)) {
    return {.outcome = {}, .value = 0, .would_wait = true};
  }
  switch (operation.kind) {
    case v1::OPERATION_KIND_MMAP:
      return Mmap(operation);
    case v1::OPERATION_KIND_FORK:
      return Fork();
    case v1::OPERATION_KIND_EXIT:
      (void)thread_.entry().Exit({});
      return {};
    case v1::OPERATION_KIND_WAIT_PROGRESS:
    case v1::OPERATION_KIND_WAIT_CLOCK:
    case v1::OPERATION_KIND_PAUSE:
      return WaitFor(operation);
    default:
      return RunOperation(thread_.mm(), operation);
  }
}

OperationEnd BatchRun::Mmap(ReadyOperation operation) {
  // A number that is no file's is a bad descriptor, which the core has as none.
  const std::optional<FileRef> file = thread_.machine().FileOf(operation.arguments[2]);
  if (file) operation.file = &file->mapping();
  return RunOperation(thread_.mm(), operation);
}

OperationEnd BatchRun::Fork() {
  MmEntry& parent = thread_.entry();
  auto child = thread_.machine().ForkMm(parent, parent.options().life);
  if (!child.ok()) return {.outcome = Outcome::Error(v1::ERRNO_EAGAIN)};
  if (!child->ok()) return {.outcome = Outcome::Error(ToProto(child->error()))};
  thread_.Hold(child->value());
  return {.value = child->value().entry().options().number};
}

// --- Waits -------------------------------------------------------------------------------------

OperationEnd BatchRun::WaitFor(const ReadyOperation& operation) {
  if (operation.kind == v1::OPERATION_KIND_WAIT_PROGRESS) {
    if (thread_.progress() == nullptr) return {.outcome = Outcome::Error(v1::ERRNO_EINVAL)};
    const uint64_t timeout = operation.arguments[0];
    const auto error =
        thread_.progress()->Wait(operation.address.value(), operation.length,
                                 timeout == 0 ? absl::InfiniteDuration() : Nanoseconds(timeout));
    return {.outcome = error ? Outcome::Error(ToProto(*error)) : Outcome()};
  }
  const bool by_clock = operation.kind == v1::OPERATION_KIND_WAIT_CLOCK;
  const absl::Time from = by_clock ? thread_.ClockBegan() : absl::Now();
  const absl::Time until = from + Nanoseconds(operation.length);
  if (until > absl::Now() && !thread_.SleepUntil(until)) {
    return {.outcome = Outcome::Error(v1::ERRNO_EINTR)};
  }
  if (!by_clock) return {};
  return {.value = static_cast<uint64_t>(
              std::max<int64_t>(0, absl::ToInt64Nanoseconds(absl::Now() - until)))};
}

}  // namespace faultline::server
