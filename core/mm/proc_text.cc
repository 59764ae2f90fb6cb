// SPDX-License-Identifier: Apache-2.0
//
// The kernel's columns; see proc_text.h. A line begins with what is fixed, filled up to column 73
// if a name follows. Of a name only the newline is escaped, in octal: whoever splits text at
// newlines gets it back, but for names that hold a backslash, of which the kernel takes no care.
#include "core/mm/proc_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <absl/strings/str_format.h>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names, in this file alone

/// Where names begin, counted from 0 (Linux: seq_setwidth in show_vma_header_prefix).
constexpr size_t kNameColumn = 73;

/// What VmFlags calls the flags, in the order of their bits.
constexpr std::array kFlagNames = {
    std::pair(kRead, "rd"),       std::pair(kWrite, "wr"),      std::pair(kExec, "ex"),
    std::pair(kShared, "sh"),     std::pair(kMayRead, "mr"),    std::pair(kMayWrite, "mw"),
    std::pair(kMayExec, "me"),    std::pair(kMayShare, "ms"),   std::pair(kGrowsDown, "gd"),
    std::pair(kPfnMap, "pf"),     std::pair(kMaybeGuard, "gu"), std::pair(kLocked, "lo"),
    std::pair(kIo, "io"),         std::pair(kSeqRead, "sr"),    std::pair(kRandRead, "rr"),
    std::pair(kDontCopy, "dc"),   std::pair(kDontExpand, "de"), std::pair(kLockOnFault, "lf"),
    std::pair(kAccount, "ac"),    std::pair(kNoReserve, "nr"),  std::pair(kSync, "sf"),
    std::pair(kWipeOnFork, "wf"), std::pair(kDontDump, "dd"),   std::pair(kMixedMap, "mm"),
    std::pair(kHugePage, "hg"),   std::pair(kNoHugePage, "nh"), std::pair(kMergeable, "mg"),
    std::pair(kDroppable, "dp"),  std::pair(kSealed, "sl"),
};

void AppendHeader(const VmaRecord& vma, std::string_view name, std::string& text) {
  const size_t line = text.size();
  const auto letter = [&](VmaFlags flag, char c) { return (vma.flags & flag) != 0 ? c : '-'; };
  absl::StrAppendFormat(&text, "%08x-%08x %c%c%c%c %08x %02x:%02x %d ", vma.range.start().value(),
                        vma.range.end().value(), letter(kRead, 'r'), letter(kWrite, 'w'),
                        letter(kExec, 'x'), (vma.flags & kMayShare) != 0 ? 's' : 'p', vma.offset,
                        vma.device.major, vma.device.minor, vma.inode);
  if (!name.empty()) {
    // One space at least: a very long line has its name behind it all the same.
    text.resize(std::max(line + kNameColumn, text.size() + 1), ' ');
    for (const char c : name) {
      if (c == '\n') {
        text += "\\012";
      } else {
        text += c;
      }
    }
  }
  text += '\n';
}

void AppendKb(std::string_view label, uint64_t bytes, std::string& text) {
  absl::StrAppendFormat(&text, "%-16s%8d kB\n", label, bytes >> 10);
}

/// Which of the two files a paragraph is for.
enum class Paragraph : uint8_t { kSmaps, kRollup };

void AppendResidency(const Residency& residency, Paragraph paragraph, std::string& text) {
  AppendKb("Rss:", residency.rss, text);
  AppendKb("Pss:", residency.pss.bytes(), text);
  AppendKb("Pss_Dirty:", residency.pss_dirty.bytes(), text);
  if (paragraph == Paragraph::kRollup) {
    AppendKb("Pss_Anon:", residency.pss_anon.bytes(), text);
    AppendKb("Pss_File:", residency.pss_file.bytes(), text);
    AppendKb("Pss_Shmem:", residency.pss_shmem.bytes(), text);
  }
  AppendKb("Shared_Clean:", residency.shared_clean, text);
  AppendKb("Shared_Dirty:", residency.shared_dirty, text);
  AppendKb("Private_Clean:", residency.private_clean, text);
  AppendKb("Private_Dirty:", residency.private_dirty, text);
  AppendKb("Referenced:", residency.referenced, text);
  AppendKb("Anonymous:", residency.anonymous, text);
  AppendKb("KSM:", 0, text);
  AppendKb("LazyFree:", residency.lazy_free, text);
  AppendKb("AnonHugePages:", 0, text);
  AppendKb("ShmemPmdMapped:", 0, text);
  AppendKb("FilePmdMapped:", 0, text);
  AppendKb("Shared_Hugetlb:", 0, text);
  AppendKb("Private_Hugetlb:", 0, text);
  AppendKb("Swap:", 0, text);
  AppendKb("SwapPss:", 0, text);
  AppendKb("Locked:", residency.locked.bytes(), text);
}

}  // namespace

void AppendMapsLine(const VmaRecord& vma, std::string& text) { AppendHeader(vma, vma.path, text); }

void AppendSmaps(const SmapsRecord& record, std::string& text) {
  AppendHeader(record.vma, record.vma.path, text);
  AppendKb("Size:", record.vma.range.bytes(), text);
  AppendKb("KernelPageSize:", kPageSize, text);
  AppendKb("MMUPageSize:", kPageSize, text);
  AppendResidency(record.residency, Paragraph::kSmaps, text);
  absl::StrAppendFormat(&text, "%-16s%8d\nVmFlags: ", "THPeligible:", 0);
  for (const auto& [flag, name] : kFlagNames) {
    if ((record.vma.flags & flag) != 0) absl::StrAppendFormat(&text, "%s ", name);
  }
  text += '\n';
}

void AppendSmapsRollup(const SmapsRollup& rollup, std::string& text) {
  VmaRecord all;
  all.range = rollup.range;
  AppendHeader(all, "[rollup]", text);
  AppendResidency(rollup.residency, Paragraph::kRollup, text);
}

}  // namespace faultline
