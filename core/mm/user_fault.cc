// SPDX-License-Identifier: Apache-2.0
//
// What is around a fault (Linux: do_user_addr_fault of x86, lock_mm_and_find_vma): the ladder of
// the mm's scheme (core/fault/ladder.h), a stack that grows, and which signal it comes to.
//
// One fault is one record (core/observe/fault_events.h), from the ladder's first rung to the
// signal, the growth of a stack included.
//
// Read, Write and Touch go through the MMU first and come here only if it faults; then the access
// is repeated, as a CPU would.
#include "core/base/mutant.h"
#include "core/mm/stack.h"
#include "core/observe/fault_events.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

AccessOutcome Segv(int code, VirtAddr addr) {
  return {.signal = abi::kSigSegv, .code = code, .address = addr, .end = AccessEnd::kBadAddress};
}

AccessOutcome Sigkill(AccessEnd why, VirtAddr addr) {
  return {.signal = abi::kSigKill, .code = 0, .address = addr, .end = why};
}

AccessOutcome OutcomeOf(FaultOutcome fault, VirtAddr addr) {
  using namespace fault_bit;  // NOLINT(google-build-using-namespace): names of bits
  if ((fault & kBadAccess) != 0) return Segv(abi::kSegvAccErr, addr);
  if ((fault & (kSigsegv | kNoVma)) != 0) return Segv(abi::kSegvMapErr, addr);
  if ((fault & kSigbus) != 0) {
    return {.signal = abi::kSigBus,
            .code = abi::kBusAdrErr,
            .address = addr,
            .end = AccessEnd::kBadAddress};
  }
  if ((fault & kOom) != 0) return Sigkill(AccessEnd::kOutOfMemory, addr);
  if ((fault & kKilled) != 0) return Sigkill(AccessEnd::kKilled, addr);
  if ((fault & kWouldWait) != 0) {
    return {.signal = 0, .code = 0, .address = addr, .end = AccessEnd::kWouldWait};
  }
  return {};
}

/// Expands the stack above the address, and handles the fault in it.
LockedFault GrowAndFault(MmWriter& writer, const FaultRequest& request) {
  constexpr LockedFault kNothingThere{fault_bit::kNoVma, FaultKind::kError};
  VmaEditor editor(writer);
  Vma* const vma = editor.FindFrom(request.addr);
  if (vma == nullptr) return kNothingThere;
  if (vma->start() > request.addr && !ExpandStack(editor, *vma, request.addr).ok()) {
    return kNothingThere;
  }
  writer.Downgrade();
  return HandleFaultLocked(writer.fault_target(), *vma, request);
}

/// A fault below a VMA that grows down (Linux: the slow half of lock_mm_and_find_vma). It ends, and
/// counts, on the last rung.
LockedFault FaultBelowStack(Mm& mm, const FaultRequest& request, FaultEventScope& event) {
  event.FoundBelowStack();
  const ActivityScope activity(Activity::kStackGrowth);
  if (MutantOn(Mutant::kM7) || MutantOn(Mutant::kM13)) {
    MmWriter reader(mm, MmWriter::GrowsUnderReadLock{});
    return GrowAndFault(reader, request);
  }
  MmWriter writer(mm);
  if (!writer.held()) {
    event.Left(FaultRung::kMmapLock, LeaveReason::kKilled);
    return {fault_bit::kKilled, FaultKind::kError};
  }
  return GrowAndFault(writer, request);
}

/// Whether the bits above those that the tables translate all equal the topmost of them. Others the
/// CPU refuses with a general protection fault, without an address.
bool IsCanonical(VirtAddr addr, uint32_t levels) {
  const unsigned unused = 64 - (kPageShift + 9 * levels);
  const auto extended = static_cast<int64_t>(addr.value() << unused) >> unused;
  return static_cast<uint64_t>(extended) == addr.value();
}

}  // namespace

AccessOutcome Mm::Fault(const FaultRequest& request) {
  const ActivityScope activity(Activity::kFault);
  if (!IsCanonical(request.addr, tables_.levels())) return Segv(abi::kSiKernel, VirtAddr(0));
  if (request.addr >= tables_.task_size()) return Segv(abi::kSegvMapErr, request.addr);
  FaultEventScope event(request.addr, static_cast<uint8_t>(request.access));
  FaultOutcome outcome = fault_(fault_target_, request, event);
  if ((outcome & fault_bit::kBelowStack) != 0) {
    const LockedFault fault = FaultBelowStack(*this, request, event);
    fault_stats_.Succeeded(FaultRung::kMmapLock, fault.kind);
    outcome = fault.outcome;
  }
  if (outcome == fault_bit::kWouldWait) [[unlikely]]
    event.Discard();
  event.SetOutcome(outcome);
  return OutcomeOf(outcome, request.addr);
}

AccessOutcome Mm::Read(VirtAddr addr, uint64_t& word) {
  const VirtAddr aligned(addr.value() & ~uint64_t{7});
  while (!MmuLoad(fault_target_, aligned, word)) {
    const AccessOutcome outcome = Fault({addr, AccessKind::kRead});
    if (!outcome.ok()) return outcome;
  }
  return {};
}

AccessOutcome Mm::Write(VirtAddr addr, uint64_t word) {
  const VirtAddr aligned(addr.value() & ~uint64_t{7});
  while (!MmuStore(fault_target_, aligned, word)) {
    const AccessOutcome outcome = Fault({addr, AccessKind::kWrite});
    if (!outcome.ok()) return outcome;
  }
  return {};
}

AccessOutcome Mm::Touch(VirtAddr addr, AccessKind access) {
  while (!MmuTouch(fault_target_, addr, access)) {
    const AccessOutcome outcome = Fault({addr, access});
    if (!outcome.ok()) return outcome;
  }
  return {};
}

}  // namespace faultline
