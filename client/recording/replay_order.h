// SPDX-License-Identifier: Apache-2.0
//
// What must wait for what when a recording is replayed by one thread for each recorded thread: only
// what would otherwise come out differently. Everything else runs free, so that contention is real.
//
//   a fault            waits for the last operation that changed its page
//   a change           waits for what others did to its pages before: changes, faults, failed calls
//   a call that failed waits for the changes of its range, and changes wait for it: what it met
//                      must be there again
//   brk                waits for the last brk, whose result it starts from
//   fork, mlockall     wait for everything in the image, and everything behind waits for them
//   a new thread       waits for the clone or fork that made it; a parent of vfork, for its exec
//   exec, exit_group   wait for all other threads of the process, which they end
//
// A wait for what the thread's own order or its earlier waits already say is left out.
//
// Guarantee: any interleaving of the threads that keeps their own orders and the waits has the same
// maps at its end, if mappings are put where they were recorded; and every fault finds its page
// mapped as it was. Waits name earlier operations only, so no waits can be circular.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "client/recording/recording.h"

namespace faultline::client {

/// Until `thread` has carried out its first `steps` steps. As WAIT_PROGRESS counts all operations
/// of a stream, waits included, whoever sends both has to count what it put before that step.
struct ReplayWait {
  uint32_t thread = 0;
  uint32_t steps = 0;
  bool operator==(const ReplayWait&) const = default;
};

struct ReplayStep {
  /// Of Recording::operations.
  uint32_t operation = 0;
  /// Into ReplayThread::waits.
  uint32_t first_wait = 0;
  uint32_t wait_count = 0;
};

/// What a recorded thread does, in its order.
struct ReplayThread {
  std::vector<ReplayStep> steps;
  std::vector<ReplayWait> waits;

  /// What has to come before a step, at most one for each other thread.
  [[nodiscard]] std::span<const ReplayWait> WaitsOf(const ReplayStep& step) const {
    return std::span(waits).subspan(step.first_wait, step.wait_count);
  }
};

/// One for each thread of `recording`, which CheckRecording accepts and which has fewer than 2^32
/// operations.
[[nodiscard]] std::vector<ReplayThread> OrderForReplay(const Recording& recording);

}  // namespace faultline::client
