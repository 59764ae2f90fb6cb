// SPDX-License-Identifier: Apache-2.0
//
// Compiled once per flavour of the core for flavours_test.cc: uses the whole sync layer from inside
// its flavour, behind plain functions.

#include <cstdint>

#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool SyncProbeIsModelled();
uint32_t SyncProbeUsesEverything();
LockdepHandler SyncProbeSetLockdepHandler(LockdepHandler handler);

bool SyncProbeIsModelled() { return kModelled; }

/// Takes one of each lock; returns how many it took.
uint32_t SyncProbeUsesEverything() {
  Atomic<uint32_t> taken{0};
  RwSem<LockRank::kTestOuter> sem;
  Mutex<LockRank::kTestMiddle> mutex;
  SpinLock<LockRank::kTestInner> lock;
  const WriteGuard outer(sem);
  taken.FetchAdd(1, kRelaxed);
  const LockGuard middle(mutex);
  taken.FetchAdd(1, kRelaxed);
  const RcuGuard section;
  const LockGuard inner(lock);
  return taken.FetchAdd(1, kRelaxed) + 1;
}

LockdepHandler SyncProbeSetLockdepHandler(LockdepHandler handler) {
  return SetLockdepHandler(handler);
}

}  // namespace faultline
