// SPDX-License-Identifier: Apache-2.0
//
// Looking at page tables without their locks, for faults and for those who fault pages in; and what
// a VMA's flags say about an access.
#include "core/base/check.h"
#include "core/fault/fault.h"
#include "core/fault/fault_context.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool AccessAllowed(VmaFlags flags, AccessKind access) {
  switch (access) {
    case AccessKind::kRead:
      return IsAccessible(flags);
    case AccessKind::kWrite:
      return (flags & vma_flag::kWrite) != 0;
    case AccessKind::kExec:
      return (flags & vma_flag::kExec) != 0;
  }
  MM_UNREACHABLE("no such kind of access");
}

Entry ReadPte(FaultTarget& target, EntryRef pmd, VirtAddr page) {
  const RcuGuard section;
  const Entry entry = pmd.Load();
  if (!entry.present()) return {};
  TableWords& table = target.frames.Table(target.frames.FolioOf(entry.pfn()));
  // Relaxed: a hint, and nothing is reached through it.
  return Entry(table[IndexIn(TableLevel::kPte, page)].Load(kRelaxed));
}

bool IsMappedFor(FaultTarget& target, const FaultRequest& request) {
  const RcuGuard section;
  const EntryRef pmd = target.tables.FindPmd(request.addr);
  if (!pmd) return false;
  const LockedPte pte(target.tables, pmd, request.addr);
  if (!pte) return false;
  return EntryAllows(pte.Load(), request.access);
}

}  // namespace faultline
