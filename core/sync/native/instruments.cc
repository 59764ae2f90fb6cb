// SPDX-License-Identifier: Apache-2.0
//
// The native side of instrumentation: the clock of the lock statistics, switching hooks for all
// threads, and what a lockdep report does while nobody handles it.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/sync/lock_stats.h"
#include "core/sync/lockdep.h"
#include "core/sync/native/task_registry.h"
#include "core/sync/sync_clock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

uint64_t SyncClockNs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

void SetLockStatsLevel(LockStatsLevel level) {
  TaskRegistry& registry = TaskRegistry::Instance();
  uint32_t hooks = registry.hooks() & kHookLockdep;
  if (level >= LockStatsLevel::kWaits) hooks |= kHookWaits;
  if (level >= LockStatsLevel::kHolds) hooks |= kHookHolds;
  registry.SetHooks(hooks);
}

void SetLockdep(bool on) {
  TaskRegistry& registry = TaskRegistry::Instance();
  const uint32_t others = registry.hooks() & ~uint32_t{kHookLockdep};
  registry.SetHooks(on ? others | kHookLockdep : others);
}

LockStatsSnapshot SnapshotLockStats() {
  LockStatsSnapshot sum{};
  TaskRegistry::Instance().ForEachStats([&](const LockStatsShard& shard) { shard.AddTo(sum); });
  return sum;
}

LockStatsByCaller SnapshotLockStatsByCaller() {
  LockStatsByCaller sum;
  TaskRegistry::Instance().ForEachStats(
      [&](const LockStatsShard& shard) { shard.callers().AddTo(sum); });
  return sum;
}

void ResetLockStats() {
  TaskRegistry::Instance().ForEachStats([](LockStatsShard& shard) { shard.Reset(); });
}

void detail::DefaultLockdepReport(LockdepProblem /*problem*/, std::string_view text) {
  std::fprintf(stderr, "%.*s", static_cast<int>(text.size()), text.data());
  std::abort();
}

}  // namespace faultline
