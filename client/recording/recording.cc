// SPDX-License-Identifier: Apache-2.0
//
// Names and arguments of what a recording holds: one table for the kinds of operations, which the
// file format, the importers and reports share.
//
// Invariant: a kind that is not in the table is in no recording.
#include "client/recording/recording.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace faultline::client {
namespace {

struct Traits {
  OpKind kind;
  std::string_view name;
  std::size_t arguments;
};

constexpr std::array kTraits = {
    Traits{OpKind::kMmap, "mmap", 6},
    Traits{OpKind::kMunmap, "munmap", 2},
    Traits{OpKind::kMprotect, "mprotect", 3},
    Traits{OpKind::kMremap, "mremap", 5},
    Traits{OpKind::kMadvise, "madvise", 3},
    Traits{OpKind::kBrk, "brk", 1},
    Traits{OpKind::kMlock, "mlock", 3},
    Traits{OpKind::kMunlock, "munlock", 2},
    Traits{OpKind::kMlockall, "mlockall", 1},
    Traits{OpKind::kMunlockall, "munlockall", 0},
    Traits{OpKind::kMseal, "mseal", 3},
    Traits{OpKind::kUserFault, "user fault", 3},
    Traits{OpKind::kKernelFault, "kernel-mode fault", 2},
    Traits{OpKind::kCloneThread, "clone", 1},
    Traits{OpKind::kFork, "fork", 2},
    Traits{OpKind::kExec, "exec", 3},
    Traits{OpKind::kExitThread, "exit", 1},
    Traits{OpKind::kExitProcess, "exit_group", 1},
};

constexpr auto kKinds = [] {
  std::array<OpKind, kTraits.size()> kinds{};
  for (std::size_t i = 0; i < kinds.size(); ++i) kinds[i] = kTraits[i].kind;
  return kinds;
}();

const Traits* Find(OpKind kind) {
  const auto* const found = std::ranges::find(kTraits, kind, &Traits::kind);
  return found == kTraits.end() ? nullptr : found;
}

}  // namespace

bool Recording::lossy() const {
  return std::ranges::any_of(marks,
                             [](const Mark& mark) { return mark.kind <= MarkKind::kUnreadLine; });
}

std::string_view NameOf(OpKind kind) {
  const Traits* const traits = Find(kind);
  return traits == nullptr ? std::string_view() : traits->name;
}

std::size_t ArgumentsOf(OpKind kind) {
  const Traits* const traits = Find(kind);
  return traits == nullptr ? 0 : traits->arguments;
}

std::string_view NameOf(MarkKind kind) {
  switch (kind) {
    case MarkKind::kLostEvents:
      return "lost events";
    case MarkKind::kTruncated:
      return "truncated";
    case MarkKind::kClockWentBack:
      return "clock went back";
    case MarkKind::kUnreadLine:
      return "unread line";
    case MarkKind::kFaultsAbsent:
      return "no faults";
    case MarkKind::kLocksAbsent:
      return "no mmap_lock events";
    case MarkKind::kStartIncomplete:
      return "start incomplete";
    case MarkKind::kOtherLocks:
      return "other mmap_lock";
  }
  return {};
}

bool IsSystemCall(OpKind kind) { return kind <= OpKind::kMseal; }

std::span<const OpKind> AllOpKinds() { return kKinds; }

std::string RightsText(uint8_t rights) {
  return {(rights & kRead) != 0 ? 'r' : '-', (rights & kWrite) != 0 ? 'w' : '-',
          (rights & kExecute) != 0 ? 'x' : '-', (rights & kShared) != 0 ? 's' : 'p'};
}

}  // namespace faultline::client
