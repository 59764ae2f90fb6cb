// SPDX-License-Identifier: Apache-2.0
//
// Limits and accounting of an mm, under mmap_lock held for write; see mm_lock.h.
//
// The kinds of VMAs that are counted apart follow Linux's is_data_mapping, is_exec_mapping and
// is_stack_mapping.
#include "core/mm/mm_lock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names, in this file alone

bool IsData(VmaFlags flags) { return (flags & (kWrite | kShared | kStack)) == kWrite; }
bool IsExec(VmaFlags flags) { return (flags & (kExec | kWrite | kStack)) == kExec; }
bool IsStack(VmaFlags flags) { return (flags & kStack) != 0; }

void Add(Hinted<uint64_t>& count, int64_t pages) { count += static_cast<uint64_t>(pages); }

}  // namespace

void MmWriter::Free(Vma& vma) {
  if (hold_ == Hold::kWrite) {
    dead_.push_back(vma);
  } else {
    FreeToSlab(vma);
  }
}

void MmWriter::FreeDead() {
  while (Vma* vma = dead_.pop_front()) FreeToSlab(*vma);
}

void MmWriter::FreeToSlab(Vma& vma) const {
  VmaSlab& slab = mm_.services_.vmas;
  if (InfoOf(mm_.options_.fault.scheme).lifetime == VmaLifetime::kRcu) {
    vma.FreeAfterGracePeriod(slab);
  } else {
    vma.FreeNow(slab);
  }
}

bool MmWriter::MayExpand(VmaFlags flags, uint64_t pages) const {
  const MmOptions& options = mm_.options_;
  const MmPages& have = mm_.pages_;
  if (have.total + pages > options.rlimit_as >> kPageShift) return false;
  return !IsData(flags) || have.data + pages <= options.rlimit_data >> kPageShift;
}

bool MmWriter::MayLock(VmaFlags flags, uint64_t bytes) const {
  const MmOptions& options = mm_.options_;
  if ((flags & kLocked) == 0 || options.can_ipc_lock) return true;
  return mm_.pages_.locked + (bytes >> kPageShift) <= options.rlimit_memlock >> kPageShift;
}

void MmWriter::Account(VmaFlags flags, int64_t pages) const {
  MmPages& count = mm_.pages_;
  Add(count.total, pages);
  if (IsExec(flags)) {
    Add(count.exec, pages);
  } else if (IsStack(flags)) {
    Add(count.stack, pages);
  } else if (IsData(flags)) {
    Add(count.data, pages);
  }
  if ((flags & kLocked) != 0) Add(count.locked, pages);
  if ((flags & kAccount) != 0) Add(count.committed, pages);
}

}  // namespace faultline
