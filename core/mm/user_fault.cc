// SPDX-License-Identifier: Apache-2.0
//
// The ladder around a fault of user mode (Linux: do_user_addr_fault of x86, lock_mm_and_find_vma;
// BEHAVIOURS section 1.5): lock, find, expand the stack, check the access, handle, tell the signal.
// In this scheme the only rung is mmap_lock held for read.
//
// Read, Write and Touch go through the MMU first and come here only if it faults; then the access
// is repeated, as a CPU would.
#include "core/mm/stack.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

AccessOutcome Segv(int code, VirtAddr addr) { return {abi::kSigSegv, code, addr}; }

AccessOutcome OutcomeOf(FaultOutcome fault, VirtAddr addr) {
  if ((fault & fault_bit::kSigsegv) != 0) return Segv(abi::kSegvMapErr, addr);
  if ((fault & fault_bit::kSigbus) != 0) return {abi::kSigBus, abi::kBusAdrErr, addr};
  if ((fault & fault_bit::kOom) != 0) return {.signal = 9, .code = 0, .address = addr};
  return {};
}

/// Access check and fault, under a lock that makes `vma` stable.
AccessOutcome Handle(FaultTarget& target, Vma& vma, const FaultRequest& request) {
  if (!AccessAllowed(vma.flags(), request.access)) return Segv(abi::kSegvAccErr, request.addr);
  return OutcomeOf(HandleFault(target, vma, request), request.addr);
}

/// The VMA below which `addr` lies, if that is a stack (Linux: the slow half of
/// lock_mm_and_find_vma).
AccessOutcome FaultBelowStack(Mm& mm, const FaultRequest& request) {
  MmWriter writer(mm);
  if (!writer.held()) return {.signal = 9, .code = 0, .address = request.addr};
  VmaEditor editor(writer);
  Vma* const vma = editor.FindFrom(request.addr);
  if (vma == nullptr) return Segv(abi::kSegvMapErr, request.addr);
  if (vma->start() > request.addr && !ExpandStack(editor, *vma, request.addr).ok()) {
    return Segv(abi::kSegvMapErr, request.addr);
  }
  writer.Downgrade();
  return Handle(writer.fault_target(), *vma, request);
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
  if (!IsCanonical(request.addr, tables_.levels())) return Segv(abi::kSiKernel, VirtAddr(0));
  {
    const MmReader reader(*this);
    if (!reader.held()) return {.signal = 9, .code = 0, .address = request.addr};
    Vma* const vma = reader.FindFrom(request.addr);
    if (vma == nullptr || request.addr >= tables_.task_size()) {
      return Segv(abi::kSegvMapErr, request.addr);
    }
    if (vma->start() <= request.addr) return Handle(fault_target_, *vma, request);
    if (!vma->Has(vma_flag::kGrowsDown)) return Segv(abi::kSegvMapErr, request.addr);
  }
  return FaultBelowStack(*this, request);
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
