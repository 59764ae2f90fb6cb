// SPDX-License-Identifier: Apache-2.0
//
// Sums of counts of faults; see fault_ledger.h.
#include "server/fault_ledger.h"

#include "server/fault_statistics.h"

namespace faultline::server {

void FaultLedger::AddExited(const FaultStatsSnapshot& faults) {
  const absl::MutexLock lock(&mutex_);
  Add(exited_, faults);
}

void FaultLedger::AddForgotten(const FaultStatsSnapshot& faults) {
  const absl::MutexLock lock(&mutex_);
  forgotten_ += static_cast<uint64_t>(faults.Ended());
}

void FaultLedger::Reset() {
  const absl::MutexLock lock(&mutex_);
  forgotten_ += static_cast<uint64_t>(exited_.Ended());
  exited_ = {};
}

FaultStatsSnapshot FaultLedger::exited() const {
  const absl::MutexLock lock(&mutex_);
  return exited_;
}

uint64_t FaultLedger::ended() const {
  const absl::MutexLock lock(&mutex_);
  return forgotten_ + static_cast<uint64_t>(exited_.Ended());
}

}  // namespace faultline::server
