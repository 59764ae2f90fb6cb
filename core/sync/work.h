// SPDX-License-Identifier: Apache-2.0
//
// Marks for the simulator of time: work that costs time without touching shared state, and touches
// of plain data that a lock guards. Both are free in the native build. Work is given in units of a
// tag, never in nanoseconds; calibration maps tags to time. In the modelled build Touch is an
// access like an atomic's load: a scheduling point, checked, and in conflict with a free.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/source_loc.h"

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/execution.h"
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What kind of work; grows with its users.
enum class WorkTag : uint16_t {
  kTest,  ///< for tests of the sync layer
};

/// `units` of work of that kind are done here.
FAULTLINE_ALWAYS_INLINE void Work([[maybe_unused]] WorkTag tag, [[maybe_unused]] uint64_t units) {
#ifdef FAULTLINE_MODELLED
  if (Execution* execution = Execution::Current()) {
    execution->Work(static_cast<uint16_t>(tag), units);
  }
#endif
}

/// Plain data at `address`, guarded by a lock that the caller holds, is read or written here. Once
/// per cache line where it matters.
FAULTLINE_ALWAYS_INLINE void Touch([[maybe_unused]] const void* address,
                                   [[maybe_unused]] SourceLoc where = SourceLoc::Current()) {
#ifdef FAULTLINE_MODELLED
  if (Execution* execution = Execution::Current()) {
    execution->PointForAccess(OpKind::kLoad, address, where);
    execution->NoteAccess(address, /*write=*/false, 0);
  }
#endif
}

}  // namespace faultline
