// SPDX-License-Identifier: Apache-2.0
//
// One pass over the operations, as CheckRecording left them: every kind is one that is known.
//
// Guarantee: the sums over all images are the sums of the whole.
#include "client/recording/summary.h"

#include <cstddef>
#include <cstdint>

#include "client/recording/recording.h"

namespace faultline::client {

Summary Summarize(const Recording& recording, uint32_t image) {
  Summary summary{};
  for (const Operation& op : recording.operations) {
    if (image != kNoIndex && op.image != image) continue;
    KindSummary& kind = summary.kinds[static_cast<std::size_t>(op.kind)];
    ++kind.operations;
    if (op.error != 0) ++kind.failed;
    if (op.locks.reads + op.locks.writes != 0) ++kind.took_lock;
    kind.reads += op.locks.reads;
    kind.writes += op.locks.writes;
    kind.gave_up += op.locks.failed;
    if (op.kind == OpKind::kExec && op.args[2] != 0 && op.args[1] != 0) {
      ++summary.execs_behind_fault;
      summary.reads_behind_fault += op.args[1];
    }
  }
  return summary;
}

}  // namespace faultline::client
