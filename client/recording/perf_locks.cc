// SPDX-License-Identifier: Apache-2.0
//
// The table of perf_locks.h as code: Acquired is its rows from the third on, OwnerOf the first two.
#include "client/recording/perf_locks.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "client/recording/perf_line.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

void Count(const PerfEvent& event, Acquisitions& locks) {
  if (event.args[2] == 0) {
    ++locks.failed;
  } else if (event.args[1] != 0) {
    ++locks.writes;
  } else {
    ++locks.reads;
  }
}

}  // namespace

void LockAttribution::Acquired(const PerfEvent& event, uint32_t image, LockContext& context) {
  uint64_t& mm = mms_[image];
  if (mm == 0) mm = event.args[0];
  if (event.args[0] != mm && context.call == kNoOperation) {
    if (!context.elsewhere) context.fault_before = context.fault != kNoOperation;
    context.elsewhere = true;
    context.other_mm = event.args[0];
  }
  if (context.elsewhere) {
    Count(event, context.pending);
    return;
  }
  const std::size_t owner = OwnerOf(event, context);
  context.attempt = false;
  if (owner == kNoOperation) return Count(event, others_);
  Operation& op = operations_[owner];
  const bool write = event.args[1] != 0 && event.args[2] != 0;
  if (owner == context.call && write && op.locks.writes == 0) {
    op.effect_ns = std::max(event.time_ns, op.time_ns) - op.time_ns;
  }
  if (context.call == kNoOperation && write) context.last_write = owner;
  Count(event, op.locks);
}

void LockAttribution::GiveUp(const LockContext& context) {
  others_.reads += context.pending.reads;
  others_.writes += context.pending.writes;
  others_.failed += context.pending.failed;
}

std::size_t LockAttribution::OwnerOf(const PerfEvent& event, const LockContext& context) const {
  const bool read = event.args[1] == 0;
  if (context.call != kNoOperation) {
    // A read without an attempt is what remains of a write lock: the call's.
    const bool faulted = context.fault != kNoOperation && read && context.attempt;
    return faulted ? context.fault : context.call;
  }
  if (context.exec != kNoOperation && (!read || context.fault == kNoOperation)) {
    return context.exec;
  }
  return context.fault;
}

}  // namespace faultline::client
