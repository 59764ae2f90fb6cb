// SPDX-License-Identifier: Apache-2.0
//
// Native RCU: liburcu's memb flavour, its read side inlined (see core/sync/rcu.h for the contract
// and docs/adr for the choice). The library is not instrumented for ThreadSanitizer, so under it a
// pair of annotations says what a grace period orders: the end of a section happens before the
// callbacks and Synchronize returns that waited for it.
#pragma once

#define _LGPL_SOURCE 1  // NOLINT: liburcu's name; licence-permitted inlining of the read side
#include <urcu/urcu-memb.h>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/task.h"

#if FAULTLINE_TSAN
#include <sanitizer/tsan_interface.h>
// ThreadSanitizer's own; its header does not declare them.
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {

/// What an object embeds to be retired. Unused until then; the object's owner never touches it.
class RcuHead {
 public:
  using Callback = void (*)(RcuHead*);

 private:
  friend class Rcu;
  rcu_head head_{};  // first: liburcu's callback gets its address
  Callback callback_ = nullptr;
};

class Rcu {
 public:
  FAULTLINE_ALWAYS_INLINE static void ReadLock(SourceLoc = SourceLoc::Current()) {
    if (detail::tls_task == nullptr) [[unlikely]] {
      detail::AttachThread();  // registers the thread, without which a section protects nothing
    }
    urcu_memb_read_lock();
  }
  FAULTLINE_ALWAYS_INLINE static void ReadUnlock(SourceLoc = SourceLoc::Current()) {
#if FAULTLINE_TSAN
    __tsan_release(&tsan_grace_period_);
    // Two readers may wake a waiting writer at once, through a plain futex word.
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
    urcu_memb_read_unlock();
#if FAULTLINE_TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
  }
  /// Whether the calling task is inside a section.
  [[nodiscard]] static bool InSection() {
    return detail::tls_task != nullptr && urcu_memb_read_ongoing() != 0;
  }

  /// Calls `callback(&head)` after a grace period, from a thread of RCU's own. Any context; does
  /// not sleep. `head` must not be retired again before then.
  static void Retire(RcuHead& head, RcuHead::Callback callback,
                     SourceLoc where = SourceLoc::Current());
  /// Waits for a grace period. May sleep; not inside a section. Microseconds: not for hot writers.
  static void Synchronize(SourceLoc where = SourceLoc::Current());
  /// Waits until every callback retired before has run. May sleep; not inside a section.
  static void Barrier(SourceLoc where = SourceLoc::Current());

 private:
#if FAULTLINE_TSAN
  static char tsan_grace_period_;  // stands for "sections have ended"; address only
  static char tsan_callbacks_;     // stands for "callbacks have run"; address only
#endif
};

/// A pointer read inside a section; a plain pointer in this build.
template <class T>
class RcuRef {
 public:
  constexpr RcuRef() = default;
  explicit constexpr RcuRef(T* pointer) : pointer_(pointer) {}
  [[nodiscard]] explicit operator bool() const { return pointer_ != nullptr; }
  [[nodiscard]] T* operator->() const { return pointer_; }
  [[nodiscard]] T& operator*() const { return *pointer_; }
  /// The pointer itself, for comparing and for handing to code that pins the object first.
  [[nodiscard]] T* get() const { return pointer_; }

 private:
  T* pointer_ = nullptr;
};

}  // namespace faultline
