// SPDX-License-Identifier: Apache-2.0
//
// Which addresses an operation works on: what it made, what it needs, what it changes. Lengths are
// rounded up to pages, as the kernel does; ends that would wrap end at the top.
#pragma once

#include <algorithm>
#include <cstdint>

#include "client/recording/recording.h"

namespace faultline::client {

inline constexpr uint64_t kPageBytes = 4096;

/// [start, end).
struct Range {
  uint64_t start = 0;
  uint64_t end = 0;
  [[nodiscard]] bool empty() const { return start >= end; }
  bool operator==(const Range&) const = default;
};

[[nodiscard]] constexpr uint64_t PageDown(uint64_t address) { return address & ~(kPageBytes - 1); }
[[nodiscard]] constexpr uint64_t PageUp(uint64_t address) {
  return address > UINT64_MAX - kPageBytes ? PageDown(UINT64_MAX)
                                           : PageDown(address + kPageBytes - 1);
}
[[nodiscard]] constexpr bool Overlap(Range a, Range b) {
  return std::max(a.start, b.start) < std::min(a.end, b.end);
}
[[nodiscard]] constexpr Range PagesOf(uint64_t address, uint64_t length) {
  const uint64_t start = PageDown(address);
  const uint64_t room = PageDown(UINT64_MAX) - start;
  return {start, start + std::min(room, PageUp((address - start) + std::min(length, room)))};
}

/// Where a successful mmap or mremap put what it mapped; else empty.
[[nodiscard]] inline Range MadeBy(const Operation& op) {
  if (op.error != 0 || op.ended != Ended::kReturned) return {};
  if (op.kind == OpKind::kMmap) return PagesOf(op.result, op.args[1]);
  if (op.kind == OpKind::kMremap) return PagesOf(op.result, op.args[2]);
  return {};
}

}  // namespace faultline::client
