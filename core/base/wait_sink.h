// SPDX-License-Identifier: Apache-2.0
//
// WaitSink: where the sync layer reports that somebody waited, for what, and for whom.
//
// The core sleeps only through core/sync, and each wait is measured there. core/observe implements
// this interface; core/sync is below it in the direction of includes and knows only this file.
//
// Linux analogue: trace_contention_begin and trace_contention_end (include/trace/events/lock.h).
// Invariant: a record is delivered once per wait, after it has ended, and never from a fast path.

#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/tick.h"
#include "core/base/types.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What a task waited for.
enum class WaitKind : std::uint8_t {
  kLock,         ///< A lock of core/sync; `rank` says which.
  kFolio,        ///< A folio's lock, or the end of its writeback.
  kIo,           ///< A block device.
  kReclaim,      ///< Being throttled by memory pressure.
  kGracePeriod,  ///< Readers of RCU sections.
  kOther,        ///< Any other wait queue; `rank` is that of the queue.
};

/// What kind of holding a task waited for.
enum class WaitMode : std::uint8_t {
  kShared,     ///< Read side: others may hold it too.
  kExclusive,  ///< Write side, and every wait that is not for a shareable thing.
};

/// One wait that has ended. Plain data, to be copied.
struct WaitRecord {
  WaitKind kind = WaitKind::kLock;
  WaitMode mode = WaitMode::kExclusive;
  /// Number of the LockRank waited on; meaningful for kLock and kOther.
  std::uint8_t rank = 0;
  /// True when a fatal signal ended the wait, so that the thing was not obtained.
  bool killed = false;
  /// What the waiter was doing: a tag of core/observe, 0 = untagged.
  std::uint16_t waiter_activity = 0;
  /// What the holder was doing when the wait began, 0 = untagged or unknown.
  std::uint16_t holder_activity = 0;
  /// Who waited.
  TaskId waiter;
  /// Who held it when the wait began: one of the holders if shared, TaskId(0) if unknown. A hint:
  /// the holder may have changed during the wait.
  TaskId holder;
  /// How long the wait took.
  Ticks waited;
};

/// Takes records of waits. Implemented by core/observe.
class WaitSink {
 public:
  WaitSink() = default;
  WaitSink(const WaitSink&) = delete;
  WaitSink& operator=(const WaitSink&) = delete;
  virtual ~WaitSink() = default;

  /// Called by the waiter on its slow path, concurrently from many threads. The caller holds no
  /// lock that the sink could need, but may hold others of the core (the one it waited for among
  /// them): the sink must not block, sleep, or take a lock of core/sync.
  virtual void OnWait(const WaitRecord& record) noexcept = 0;
};

}  // namespace faultline
