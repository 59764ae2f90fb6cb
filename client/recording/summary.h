// SPDX-License-Identifier: Apache-2.0
//
// What a recording counts: operations by kind, and who took mmap_lock how often. The figures that a
// replay is held against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "client/recording/recording.h"

namespace faultline::client {

struct KindSummary {
  uint64_t operations = 0;
  uint64_t failed = 0;
  /// Operations that took mmap_lock at all.
  uint64_t took_lock = 0;
  /// Acquisitions.
  uint64_t reads = 0;
  uint64_t writes = 0;
  /// Attempts that gave up: a trylock that found the lock held.
  uint64_t gave_up = 0;
};

struct Summary {
  /// By OpKind.
  std::array<KindSummary, 64> kinds;
  /// Of the execs: those whose acquisitions came right behind a user fault, and how many reads that
  /// were. By the order of events alone they would be that fault's.
  uint64_t execs_behind_fault = 0;
  uint64_t reads_behind_fault = 0;

  [[nodiscard]] const KindSummary& of(OpKind kind) const {
    return kinds[static_cast<std::size_t>(kind)];
  }
};

/// Of the operations in `image`, or in all.
[[nodiscard]] Summary Summarize(const Recording& recording, uint32_t image = kNoIndex);

}  // namespace faultline::client
