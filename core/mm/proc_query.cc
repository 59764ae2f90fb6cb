// SPDX-License-Identifier: Apache-2.0
//
// PROCMAP_QUERY; see proc_query.h. As in Linux's query_matching_vma shared memory without a file of
// a name counts as file-backed, since the kernel backs it by one.
#include "core/mm/proc_query.h"

#include <array>
#include <utility>

#include "core/observe/activity.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// What a permission of a question is in a VMA.
constexpr std::array kPermissions = {
    std::pair(query_flag::kReadable, vma_flag::kRead),
    std::pair(query_flag::kWritable, vma_flag::kWrite),
    std::pair(query_flag::kExecutable, vma_flag::kExec),
    std::pair(query_flag::kShared, vma_flag::kMayShare),
};

uint64_t QueryFlagsOf(VmaFlags flags) {
  uint64_t said = 0;
  for (const auto& [query, vma] : kPermissions) {
    if ((flags & vma) != 0) said |= query;
  }
  return said;
}

bool Matches(const VmaView& vma, uint64_t flags) {
  if ((flags & query_flag::kFileBacked) != 0 && vma.mapping == nullptr) return false;
  const uint64_t wanted = flags & query_flag::kPermissions;
  return (QueryFlagsOf(vma.flags) & wanted) == wanted;
}

Result<QueriedVma> FindMatching(Mm& mm, ReadMode mode, VirtAddr addr, uint64_t flags) {
  VmaScan scan(mm, mode);
  const bool may_be_behind = (flags & query_flag::kCoveringOrNext) != 0;
  QueriedVma answer;
  bool matched = false;
  VirtAddr next = addr;
  const auto look = [&](const VmaView& vma, VmaScan::StillThere) {
    next = vma.end;
    matched = Matches(vma, flags) && (may_be_behind || vma.start <= addr);
    if (matched) answer = {.vma = RecordOf(mm, vma), .query_flags = QueryFlagsOf(vma.flags)};
    return true;
  };
  do {
    MM_ASSIGN_OR_RETURN(const bool found, scan.Next(next, look));
    if (!found) return Errno::kEnoent;
  } while (!matched && may_be_behind);
  if (!matched) return Errno::kEnoent;
  return answer;
}

}  // namespace

Result<QueriedVma> QueryVma(Mm& mm, ReadMode mode, VirtAddr addr, uint64_t flags) {
  const ActivityScope activity(Activity::kReadMaps);
  if ((flags & ~query_flag::kAll) != 0) return Errno::kEinval;
  if (!mm.AddUser()) return Errno::kEsrch;
  Result<QueriedVma> answer = FindMatching(mm, mode, addr, flags);
  mm.DropUser();
  return answer;
}

}  // namespace faultline
