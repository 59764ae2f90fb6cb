// SPDX-License-Identifier: Apache-2.0
//
// FaultLedger: what a machine remembers of the faults of mms that are gone, and of those that a
// reset took off the counts. An mm's counts go with it; a machine's statistics keep them.
//
// Invariant: faults of a machine's life = ended() + those of the mms that are still there.
#pragma once

#include <cstdint>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include "core/observe/fault_counters.h"

namespace faultline::server {

class FaultLedger {
 public:
  /// An mm that is torn down has these.
  void AddExited(const FaultStatsSnapshot& faults) ABSL_LOCKS_EXCLUDED(mutex_);
  /// The counts of an mm that lives go back to zero; they were these.
  void AddForgotten(const FaultStatsSnapshot& faults) ABSL_LOCKS_EXCLUDED(mutex_);
  /// The counts of mms that are gone do.
  void Reset() ABSL_LOCKS_EXCLUDED(mutex_);

  /// Of mms that are gone, since the last reset.
  [[nodiscard]] FaultStatsSnapshot exited() const ABSL_LOCKS_EXCLUDED(mutex_);
  /// Faults that have ended and are in no count of an mm that is there, resets or not.
  [[nodiscard]] uint64_t ended() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  FaultStatsSnapshot exited_ ABSL_GUARDED_BY(mutex_);
  uint64_t forgotten_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace faultline::server
