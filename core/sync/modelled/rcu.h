// SPDX-License-Identifier: Apache-2.0
//
// Modelled RCU (see core/sync/rcu.h for the contract): sections, grace periods and callbacks are
// the execution's (execution_rcu.cc). A pointer read in a section knows that section, and a touch
// through it at any other time is reported even if the object still lives.
#pragma once

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/sync/modelled/execution.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What an object embeds to be retired. Unused until then; the object's owner never touches it.
class RcuHead {
 public:
  using Callback = void (*)(RcuHead*);

 private:
  [[maybe_unused]] void* same_layout_as_native_[3] = {};
};

class Rcu {
 public:
  static void ReadLock(SourceLoc where = SourceLoc::Current()) {
    if (Execution* execution = Execution::Current()) execution->RcuEnter(where);
  }
  static void ReadUnlock(SourceLoc where = SourceLoc::Current()) {
    if (Execution* execution = Execution::Current()) execution->RcuLeave(where);
  }
  /// Whether the calling task is inside a section.
  [[nodiscard]] static bool InSection() {
    const Execution* execution = Execution::Current();
    return execution != nullptr && execution->InRcuSection();
  }
  /// Calls `callback(&head)` after a grace period, from the execution's callback fiber.
  static void Retire(RcuHead& head, RcuHead::Callback callback,
                     SourceLoc where = SourceLoc::Current()) {
    Execution* execution = Execution::Current();
    if (execution == nullptr || MutantOn(Mutant::kFreeWithoutGracePeriod)) {
      callback(&head);
      return;
    }
    execution->RcuRetire(&head, callback, where);
  }
  /// Waits for a grace period.
  static void Synchronize(SourceLoc where = SourceLoc::Current()) {
    if (Execution* execution = Execution::Current()) execution->RcuSynchronize(where);
  }
  /// Waits until every callback retired before has run.
  static void Barrier(SourceLoc where = SourceLoc::Current()) {
    if (Execution* execution = Execution::Current()) execution->RcuBarrier(where);
  }
};

/// A pointer read inside a section, valid until that section ends.
template <class T>
class RcuRef {
 public:
  constexpr RcuRef() = default;
  explicit RcuRef(T* pointer) : pointer_(pointer) {
    if (const Execution* execution = Execution::Current()) section_ = execution->rcu_section();
  }
  [[nodiscard]] explicit operator bool() const { return pointer_ != nullptr; }
  [[nodiscard]] T* operator->() const { return Checked(); }
  [[nodiscard]] T& operator*() const { return *Checked(); }
  /// The pointer itself, for comparing and for handing to code that pins the object first.
  [[nodiscard]] T* get() const { return pointer_; }

 private:
  T* Checked() const {
    Execution* execution = Execution::Current();
    if (execution != nullptr && section_ != execution->rcu_section()) {
      execution->Violate(ViolationKind::kStaleReference,
                         "a pointer was used after the RCU section that it was read in\n");
    }
    return pointer_;
  }

  T* pointer_ = nullptr;
  uint64_t section_ = 0;
};

}  // namespace faultline
