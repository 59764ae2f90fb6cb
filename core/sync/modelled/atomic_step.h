// SPDX-License-Identifier: Apache-2.0
//
// Modelled `AtomicStep` (see core/sync/atomic_step.h): announces the lock operation as one
// scheduling point and keeps the atomics inside from being points of their own.
#pragma once

#include "core/base/build.h"
#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class AtomicStep {
 public:
  /// `dissolved_by` is the least detail at which this bracket does nothing.
  AtomicStep(LockDetail dissolved_by, OpKind kind, const void* object, SourceLoc where)
      : AtomicStep(dissolved_by, Op{kind, object, where}, Condition()) {}
  /// As above; the step is eligible only while `ready()` holds.
  template <class Predicate>
  AtomicStep(LockDetail dissolved_by, OpKind kind, const void* object, SourceLoc where,
             const Predicate& ready)
      : AtomicStep(dissolved_by, Op{kind, object, where}, Condition(ready)) {}
  ~AtomicStep();
  AtomicStep(const AtomicStep&) = delete;
  AtomicStep& operator=(const AtomicStep&) = delete;

 private:
  AtomicStep(LockDetail dissolved_by, const Op& op, Condition ready);

  bool active_;
};

}  // namespace faultline
