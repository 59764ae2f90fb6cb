// SPDX-License-Identifier: Apache-2.0
//
// Operations one by one; see batch_runner.h.
#include "server/batch_runner.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include "core/sync/sync_clock.h"
#include "server/fault_messages.h"
#include "server/options.h"

namespace faultline::server {
namespace {

using columns::Outcome;

/// What is asked of an access of that kind, if it is a fault.
std::optional<FaultRequest> FaultOf(v1::OperationKind kind) {
  switch (kind) {
    case v1::OPERATION_KIND_FAULT_READ:
      return FaultRequest{.addr = VirtAddr(0), .access = AccessKind::kRead};
    case v1::OPERATION_KIND_FAULT_WRITE:
      return FaultRequest{.addr = VirtAddr(0), .access = AccessKind::kWrite};
    case v1::OPERATION_KIND_FAULT_EXEC:
      return FaultRequest{.addr = VirtAddr(0), .access = AccessKind::kExec};
    case v1::OPERATION_KIND_FAULT_READ_KERNEL:
      return FaultRequest{
          .addr = VirtAddr(0), .access = AccessKind::kRead, .mode = FaultMode::kKernel};
    case v1::OPERATION_KIND_FAULT_WRITE_KERNEL:
      return FaultRequest{
          .addr = VirtAddr(0), .access = AccessKind::kWrite, .mode = FaultMode::kKernel};
    default:
      return {};
  }
}

Outcome OutcomeOf(const AccessOutcome& access) {
  return Outcome::Access(static_cast<uint32_t>(access.signal), static_cast<uint32_t>(access.code));
}
Outcome OutcomeOf(const Result<void>& result) {
  return result.ok() ? Outcome() : Outcome::Error(ToProto(result.error()));
}

/// As long as a client asks, but no longer than the clock can tell.
absl::Duration Nanoseconds(uint64_t ns) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  return absl::Nanoseconds(static_cast<int64_t>(std::min(ns, kMost)));
}

}  // namespace

void BatchRunner::Run(const v1::OperationBatch& batch, v1::OperationResults& results) {
  columns::ResultsWriter writer(results);
  writer.Begin(batch);
  const columns::BatchReader reader(batch);
  const uint64_t begin = SyncClockNs();
  results.set_begin_ns(begin);
  const auto kind = reader.uniform_kind();
  const bool plain = !batch.with_latencies() && !batch.with_rungs() && !reader.has_bases() &&
                     thread_.progress() == nullptr;
  if (plain && kind && FaultOf(*kind)) {
    RunFaults(reader, batch, writer);
  } else {
    RunAny(reader, batch, writer);
  }
  results.set_elapsed_ns(SyncClockNs() - begin);
}

void BatchRunner::RunFaults(const columns::BatchReader& reader, const v1::OperationBatch& batch,
                            columns::ResultsWriter& writer) {
  Mm& mm = thread_.mm();
  FaultRequest request = *FaultOf(reader.kind(0));
  const uint32_t operations = reader.operations();
  v1::BatchEnd end = v1::BATCH_END_UNSPECIFIED;
  uint32_t i = 0;
  while (i < operations && end == v1::BATCH_END_UNSPECIFIED) {
    request.addr = VirtAddr(reader.address(i));
    const AccessOutcome access = mm.Fault(request);
    if (!access.ok()) [[unlikely]]
      writer.SetOutcome(i, OutcomeOf(access));
    end = Ends(!access.ok(), batch);
    ++i;
  }
  writer.End(i, i == operations ? v1::BATCH_END_UNSPECIFIED : end);
}

void BatchRunner::RunAny(columns::BatchReader reader, const v1::OperationBatch& batch,
                         columns::ResultsWriter& writer) {
  // Explanations of single operations come from a ring of the batch's own, if the thread has none.
  std::optional<FaultEventRing> events;
  std::optional<FaultRecording> recording;
  if (batch.with_rungs() && thread_.events() == nullptr) recording.emplace(&events.emplace(1));

  const uint32_t operations = reader.operations();
  v1::BatchEnd end = v1::BATCH_END_UNSPECIFIED;
  uint32_t i = 0;
  while (i < operations && end == v1::BATCH_END_UNSPECIFIED) {
    RunOne(reader, i, batch, writer);
    if (thread_.progress() != nullptr) thread_.progress()->CountOne();
    end = Ends(!writer.outcome(i).ok(), batch);
    ++i;
  }
  writer.End(i, i == operations && end == v1::BATCH_END_FAILURE ? v1::BATCH_END_UNSPECIFIED : end);
}

void BatchRunner::RunOne(columns::BatchReader& reader, uint32_t i, const v1::OperationBatch& batch,
                         columns::ResultsWriter& writer) {
  Operation operation{.kind = reader.kind(i),
                      .address = VirtAddr(reader.address(i)),
                      .length = reader.length(i),
                      .arguments = reader.TakeArguments(reader.kind(i))};
  if (const uint32_t base = reader.base(i); base != 0) {
    if (!writer.outcome(base - 1).ok()) {
      writer.SetOutcome(i, Outcome::Skipped());
      return;
    }
    operation.address = VirtAddr(operation.address.value() + writer.value(base - 1));
  }
  const FaultEventRing* const events = CurrentTask().fault_events;
  const uint64_t faults_before = batch.with_rungs() ? events->written() : 0;
  const uint64_t begin = batch.with_latencies() ? SyncClockNs() : 0;
  const End end = CarryOut(operation);
  if (batch.with_latencies()) writer.SetLatency(i, SyncClockNs() - begin);
  writer.SetOutcome(i, end.outcome);
  writer.SetValue(i, end.value);
  if (batch.with_rungs() && events->written() != faults_before) {
    if (const auto event = events->Last()) writer.SetRungs(i, RungsOf(*event));
  }
}

v1::BatchEnd BatchRunner::Ends(bool failed, const v1::OperationBatch& batch) const {
  if (thread_.killed()) [[unlikely]]
    return thread_.exiting() ? v1::BATCH_END_MM_EXITED : v1::BATCH_END_KILLED;
  return failed && batch.stop_at_failure() ? v1::BATCH_END_FAILURE : v1::BATCH_END_UNSPECIFIED;
}

BatchRunner::End BatchRunner::CarryOut(const Operation& operation) {
  if (columns::TraitsOf(operation.kind).is_access()) return Access(operation);
  switch (operation.kind) {
    case v1::OPERATION_KIND_WAIT_PROGRESS:
    case v1::OPERATION_KIND_WAIT_CLOCK:
    case v1::OPERATION_KIND_PAUSE:
      return WaitFor(operation);
    default:
      return SystemCall(operation);
  }
}

// --- Accesses
// -------------------------------------------------------------------------------------

BatchRunner::End BatchRunner::Access(const Operation& operation) {
  Mm& mm = thread_.mm();
  if (auto request = FaultOf(operation.kind)) {
    request->addr = operation.address;
    return {.outcome = OutcomeOf(mm.Fault(*request))};
  }
  switch (operation.kind) {
    case v1::OPERATION_KIND_TOUCH_READ:
      return {.outcome = OutcomeOf(mm.Touch(operation.address, AccessKind::kRead))};
    case v1::OPERATION_KIND_TOUCH_WRITE:
      return {.outcome = OutcomeOf(mm.Touch(operation.address, AccessKind::kWrite))};
    case v1::OPERATION_KIND_TOUCH_EXEC:
      return {.outcome = OutcomeOf(mm.Touch(operation.address, AccessKind::kExec))};
    case v1::OPERATION_KIND_TOUCH_RANGE_READ:
      return TouchRange(operation, AccessKind::kRead);
    case v1::OPERATION_KIND_TOUCH_RANGE_WRITE:
      return TouchRange(operation, AccessKind::kWrite);
    case v1::OPERATION_KIND_STORE:
      return {.outcome = OutcomeOf(mm.Write(operation.address, operation.arguments[0]))};
    default: {  // LOAD, the only one left
      uint64_t word = 0;
      const AccessOutcome access = mm.Read(operation.address, word);
      return {.outcome = OutcomeOf(access), .value = access.ok() ? word : 0};
    }
  }
}

BatchRunner::End BatchRunner::TouchRange(const Operation& operation, AccessKind access) {
  // Whatever the length: the first page that is not mapped ends it.
  const uint64_t first = operation.address.value() >> kPageShift;
  const uint64_t offset = operation.address.value() & (kPageSize - 1);
  const uint64_t whole = operation.length >> kPageShift;
  const uint64_t rest = (operation.length & (kPageSize - 1)) + offset;
  const uint64_t pages =
      operation.length == 0 ? 0 : whole + (rest >> kPageShift) + (rest % kPageSize != 0 ? 1 : 0);
  End end;
  for (uint64_t page = 0; page < pages && !thread_.killed(); ++page) {
    const VirtAddr address = page == 0 ? operation.address : VirtAddr((first + page) << kPageShift);
    end.outcome = OutcomeOf(thread_.mm().Touch(address, access));
    if (!end.outcome.ok()) break;
    ++end.value;
  }
  return end;
}

// --- System calls
// ---------------------------------------------------------------------------------

BatchRunner::End BatchRunner::SystemCall(const Operation& operation) {
  Mm& mm = thread_.mm();
  const VirtAddr address = operation.address;
  const uint64_t length = operation.length;
  const auto with_address = [](const Result<VirtAddr>& result) {
    if (!result.ok()) return End{.outcome = Outcome::Error(ToProto(result.error()))};
    return End{.value = result->value()};
  };
  switch (operation.kind) {
    case v1::OPERATION_KIND_MMAP:
      return Mmap(operation);
    case v1::OPERATION_KIND_MUNMAP:
      return {.outcome = OutcomeOf(mm.Munmap(address, length))};
    case v1::OPERATION_KIND_MPROTECT:
      return {.outcome = OutcomeOf(mm.Mprotect(address, length, operation.arguments[0]))};
    case v1::OPERATION_KIND_MREMAP:
      return with_address(mm.Mremap(address, length, operation.arguments[0], operation.arguments[1],
                                    VirtAddr(operation.arguments[2])));
    case v1::OPERATION_KIND_MADVISE:
      // As the ABI has it: the upper half of the register is ignored.
      return {.outcome =
                  OutcomeOf(mm.Madvise(address, length, static_cast<int>(operation.arguments[0])))};
    case v1::OPERATION_KIND_MSEAL:
      return {.outcome = OutcomeOf(mm.Mseal(address, length, operation.arguments[0]))};
    case v1::OPERATION_KIND_BRK:
      return with_address(mm.Brk(address));
    case v1::OPERATION_KIND_MLOCK:
      return {.outcome = OutcomeOf(mm.Mlock2(address, length, operation.arguments[0]))};
    case v1::OPERATION_KIND_MUNLOCK:
      return {.outcome = OutcomeOf(mm.Munlock(address, length))};
    case v1::OPERATION_KIND_MLOCKALL:
      return {.outcome = OutcomeOf(mm.Mlockall(operation.arguments[0]))};
    case v1::OPERATION_KIND_MUNLOCKALL:
      return {.outcome = OutcomeOf(mm.Munlockall())};
    case v1::OPERATION_KIND_FORK:
      return Fork();
    default:  // EXIT, the only one left
      (void)thread_.entry().Exit({});
      return {};
  }
}

BatchRunner::End BatchRunner::Mmap(const Operation& operation) {
  const auto arguments = operation.arguments;
  // A number that is no file's is a bad descriptor, which the core has as none.
  const std::optional<FileRef> file = thread_.machine().FileOf(arguments[2]);
  const Result<VirtAddr> address = thread_.mm().Mmap({.addr = operation.address,
                                                      .length = operation.length,
                                                      .prot = arguments[0],
                                                      .flags = arguments[1],
                                                      .file = file ? &file->mapping() : nullptr,
                                                      .file_writable = arguments[3] % 2 == 0,
                                                      .open_file = arguments[3] / 2,
                                                      .offset = arguments[4]});
  if (!address.ok()) return {.outcome = Outcome::Error(ToProto(address.error()))};
  return {.value = address->value()};
}

BatchRunner::End BatchRunner::Fork() {
  MmEntry& parent = thread_.entry();
  auto child = thread_.machine().ForkMm(parent, parent.options().life);
  if (!child.ok()) return {.outcome = Outcome::Error(v1::ERRNO_EAGAIN)};
  if (!child->ok()) return {.outcome = Outcome::Error(ToProto(child->error()))};
  thread_.Hold(child->value());
  return {.value = child->value().entry().options().number};
}

// --- Waits
// ----------------------------------------------------------------------------------------

BatchRunner::End BatchRunner::WaitFor(const Operation& operation) {
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
