// SPDX-License-Identifier: Apache-2.0
//
// From kinds of operations to the core; see operation_run.h. Two switches, one for each thing that
// an outcome can be: of accesses, which end in a signal, and of system calls, which end in an
// errno.
#include "server/operation_run.h"

#include "core/sync/task.h"
#include "proto/columns/kinds.h"
#include "server/options.h"

namespace faultline::server {
namespace {

using columns::Outcome;

OperationEnd Access(Mm& mm, const ReadyOperation& operation);
OperationEnd TouchRange(Mm& mm, const ReadyOperation& operation, AccessKind access);
OperationEnd SystemCall(Mm& mm, const ReadyOperation& operation);
OperationEnd Mmap(Mm& mm, const ReadyOperation& operation);

OperationEnd EndOf(const AccessOutcome& access, uint64_t value = 0) {
  return {.outcome = OutcomeOf(access),
          .value = access.ok() ? value : 0,
          .would_wait = access.end == AccessEnd::kWouldWait};
}
OperationEnd EndOf(const Result<void>& result) {
  if (!result.ok()) return {.outcome = Outcome::Error(ToProto(result.error()))};
  return {};
}
OperationEnd EndOf(const Result<VirtAddr>& result) {
  if (!result.ok()) return {.outcome = Outcome::Error(ToProto(result.error()))};
  return {.value = result->value()};
}

}  // namespace

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

OperationEnd RunOperation(Mm& mm, const ReadyOperation& operation) {
  return columns::TraitsOf(operation.kind).is_access() ? Access(mm, operation)
                                                       : SystemCall(mm, operation);
}

namespace {

// --- Accesses ----------------------------------------------------------------------------------

OperationEnd Access(Mm& mm, const ReadyOperation& operation) {
  if (auto request = FaultOf(operation.kind)) {
    request->addr = operation.address;
    return EndOf(mm.Fault(*request));
  }
  switch (operation.kind) {
    case v1::OPERATION_KIND_TOUCH_READ:
      return EndOf(mm.Touch(operation.address, AccessKind::kRead));
    case v1::OPERATION_KIND_TOUCH_WRITE:
      return EndOf(mm.Touch(operation.address, AccessKind::kWrite));
    case v1::OPERATION_KIND_TOUCH_EXEC:
      return EndOf(mm.Touch(operation.address, AccessKind::kExec));
    case v1::OPERATION_KIND_TOUCH_RANGE_READ:
      return TouchRange(mm, operation, AccessKind::kRead);
    case v1::OPERATION_KIND_TOUCH_RANGE_WRITE:
      return TouchRange(mm, operation, AccessKind::kWrite);
    case v1::OPERATION_KIND_STORE:
      return EndOf(mm.Write(operation.address, operation.arguments[0]));
    default: {  // LOAD, the only one left
      uint64_t word = 0;
      const AccessOutcome access = mm.Read(operation.address, word);
      return EndOf(access, word);
    }
  }
}

OperationEnd TouchRange(Mm& mm, const ReadyOperation& operation, AccessKind access) {
  // Whatever the length: the first page that is not mapped ends it.
  const uint64_t first = operation.address.value() >> kPageShift;
  const uint64_t offset = operation.address.value() & (kPageSize - 1);
  const uint64_t whole = operation.length >> kPageShift;
  const uint64_t rest = (operation.length & (kPageSize - 1)) + offset;
  const uint64_t pages =
      operation.length == 0 ? 0 : whole + (rest >> kPageShift) + (rest % kPageSize != 0 ? 1 : 0);
  const Task& task = CurrentTask();
  uint64_t touched = 0;
  for (; touched < pages && !task.killed(); ++touched) {
    const VirtAddr address =
        touched == 0 ? operation.address : VirtAddr((first + touched) << kPageShift);
    const AccessOutcome outcome = mm.Touch(address, access);
    if (outcome.ok()) continue;
    OperationEnd end = EndOf(outcome);  // if it would wait, all of it is done again
    end.value = touched;
    return end;
  }
  return {.value = touched};
}

// --- System calls ------------------------------------------------------------------------------

OperationEnd SystemCall(Mm& mm, const ReadyOperation& operation) {
  const VirtAddr address = operation.address;
  const uint64_t length = operation.length;
  const auto arguments = operation.arguments;
  switch (operation.kind) {
    case v1::OPERATION_KIND_MMAP:
      return Mmap(mm, operation);
    case v1::OPERATION_KIND_MUNMAP:
      return EndOf(mm.Munmap(address, length));
    case v1::OPERATION_KIND_MPROTECT:
      return EndOf(mm.Mprotect(address, length, arguments[0]));
    case v1::OPERATION_KIND_MREMAP:
      return EndOf(mm.Mremap(address, length, arguments[0], arguments[1], VirtAddr(arguments[2])));
    case v1::OPERATION_KIND_MADVISE:
      // As the ABI has it: the upper half of the register is ignored.
      return EndOf(mm.Madvise(address, length, static_cast<int>(arguments[0])));
    case v1::OPERATION_KIND_MSEAL:
      return EndOf(mm.Mseal(address, length, arguments[0]));
    case v1::OPERATION_KIND_BRK:
      return EndOf(mm.Brk(address));
    case v1::OPERATION_KIND_MLOCK:
      return EndOf(mm.Mlock2(address, length, arguments[0]));
    case v1::OPERATION_KIND_MUNLOCK:
      return EndOf(mm.Munlock(address, length));
    case v1::OPERATION_KIND_MLOCKALL:
      return EndOf(mm.Mlockall(arguments[0]));
    case v1::OPERATION_KIND_MUNLOCKALL:
      return EndOf(mm.Munlockall());
    default:  // not one that is carried out here
      return {.outcome = Outcome::Error(v1::ERRNO_ENOSYS)};
  }
}

OperationEnd Mmap(Mm& mm, const ReadyOperation& operation) {
  const auto arguments = operation.arguments;
  return EndOf(mm.Mmap({.addr = operation.address,
                        .length = operation.length,
                        .prot = arguments[0],
                        .flags = arguments[1],
                        .file = operation.file,
                        .file_writable = arguments[3] % 2 == 0,
                        .open_file = arguments[3] / 2,
                        .offset = arguments[4]}));
}

}  // namespace
}  // namespace faultline::server
