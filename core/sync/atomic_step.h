// SPDX-License-Identifier: Apache-2.0
//
// `AtomicStep`: brackets one operation of a lock. In the native build it is nothing. In the
// modelled build the whole bracket is one scheduling point and one step: the atomics inside are
// executed without a switch between them, which keeps schedules short for code that merely uses
// locks. A wait inside the bracket (Park, a false SpinUntil) still lets others run.
//
// That is sound because lock operations are linearizable, and that in turn is searched: scenarios
// about the locks themselves run with LockDetail::kSleeping or kAll, which dissolves the brackets
// and makes every atomic inside a scheduling point of its own.
#pragma once

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/op.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Which brackets a modelled run dissolves.
enum class LockDetail : uint8_t {
  kNone,      ///< every lock operation is one step
  kSleeping,  ///< sleeping locks show their inside, spinlocks are one step
  kAll,       ///< all locks show their inside
};

}  // namespace faultline

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/atomic_step.h"
#else
namespace faultline::inline FAULTLINE_FLAVOUR {

class AtomicStep {
 public:
  FAULTLINE_ALWAYS_INLINE AtomicStep(LockDetail, OpKind, const void*, SourceLoc) {}
  template <class Predicate>
  FAULTLINE_ALWAYS_INLINE AtomicStep(LockDetail, OpKind, const void*, SourceLoc, const Predicate&) {
  }
};

}  // namespace faultline
#endif
