// SPDX-License-Identifier: Apache-2.0
//
// AllocScope: what all allocations of a task may not do, or may do besides, until the scope ends
// (Linux: memalloc_nofs_save, memalloc_noio_save, memalloc_noreclaim_save and their restores;
// PF_MEMALLOC and its kin). It spares a caller from passing a Gfp through code that has none.
//
//   const AllocScope scope(AllocScope::kNowait);   // what is called from here on does not sleep
//
// Scopes nest: an inner one adds to the outer ones and its end brings back what was in force
// before it, whatever that was. Nothing here is shared: the word belongs to the task.
// Invariant: scopes of a task end in the reverse order (checked builds look).
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/folio/gfp.h"
#include "core/sync/rcu.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Belongs to the task that made it and to one scope of the program.
class [[nodiscard]] AllocScope {
 public:
  /// What a scope says; several are or-ed together.
  enum Limit : uint32_t {
    kNoFs = 1u << 0,      ///< reclaim must not call into file systems (memalloc_nofs)
    kNoIo = 1u << 1,      ///< nor start I/O (memalloc_noio)
    kNowait = 1u << 2,    ///< allocations must not sleep (policies A3 and A6: PF_MEMALLOC_NOWAIT)
    kMemalloc = 1u << 3,  ///< they ignore watermarks and do not reclaim (PF_MEMALLOC)
  };

  explicit AllocScope(uint32_t limits) : task_(CurrentTask()), outer_(task_.alloc_scope) {
    MM_DCHECK_EQ(limits & ~kAllLimits, 0u);
    task_.alloc_scope = (outer_ + kOneDeeper) | limits;
  }
  ~AllocScope() {
    MM_DCHECK(&task_ == &CurrentTask());
    MM_DCHECK_EQ(task_.alloc_scope / kOneDeeper, outer_ / kOneDeeper + 1);
    task_.alloc_scope = outer_;
  }
  AllocScope(const AllocScope&) = delete;
  AllocScope& operator=(const AllocScope&) = delete;

  /// What is in force for the calling task, as a set of Limits.
  [[nodiscard]] static uint32_t Limits() { return CurrentTask().alloc_scope & kAllLimits; }
  /// How many scopes the calling task is in.
  [[nodiscard]] static uint32_t Depth() { return CurrentTask().alloc_scope / kOneDeeper; }

 private:
  // Task::alloc_scope: limits below, depth above.
  static constexpr uint32_t kOneDeeper = 1u << 8;
  static constexpr uint32_t kAllLimits = kNoFs | kNoIo | kNowait | kMemalloc;

  Task& task_;
  const uint32_t outer_;
};

/// What a request with `gfp` comes down to for the calling task: less what its scopes forbid, and,
/// with kNowaitInRcu, less sleeping inside an RCU section. kMemalloc scopes do not show in it.
[[nodiscard]] inline Gfp EffectiveGfp(Gfp gfp) {
  const uint32_t limits = AllocScope::Limits();
  if ((limits & AllocScope::kNoIo) != 0) gfp = gfp.Without(Gfp::kIo | Gfp::kFs);
  if ((limits & AllocScope::kNoFs) != 0) gfp = gfp.Without(Gfp::kFs);
  const bool nowait =
      (limits & AllocScope::kNowait) != 0 || (gfp.Has(Gfp::kNowaitInRcu) && Rcu::InSection());
  if (nowait) gfp = gfp.Without(Gfp::kDirectReclaim) | Gfp::kNowarn;
  return gfp;
}

}  // namespace faultline
