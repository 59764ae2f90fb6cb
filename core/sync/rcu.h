// SPDX-License-Identifier: Apache-2.0
//
// Read-copy-update (Linux: RCU; B12, B13, B14): readers that write nothing shared, and writers that
// free what they unlinked only after every reader who could still see it has left.
//
//   readers:  RcuGuard guard;  node = ptr.Read();  ...use node until the guard ends...
//   writers:  unlink, then Rcu::Retire(node->rcu_head, callback) or Rcu::Synchronize() and free
//
// Native: liburcu, memb flavour; a section costs two plain stores to the thread's own line.
// Modelled: when a grace period ends is the search's choice, pointers die with the section they
// were read in, and a touch of freed memory is reported. Guarantee: a callback or the return of
// Synchronize comes after the end of every section that had begun when it was asked for. Nothing is
// promised about sections that begin later.
#pragma once

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/atomic.h"

#ifdef FAULTLINE_MODELLED
#include "core/sync/modelled/rcu.h"
#else
#include "core/sync/native/rcu.h"
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A read section. Sections nest; nothing in them may sleep, wait for I/O or allocate with direct
/// reclaim (B12; lockdep checks). Belongs to one task and one scope.
class [[nodiscard]] RcuGuard {
 public:
  explicit RcuGuard(SourceLoc where = SourceLoc::Current()) : where_(where) {
    Rcu::ReadLock(where);
  }
  ~RcuGuard() { Rcu::ReadUnlock(where_); }
  RcuGuard(const RcuGuard&) = delete;
  RcuGuard& operator=(const RcuGuard&) = delete;

 private:
  [[no_unique_address]] SourceLoc where_;
};

/// A pointer that readers follow inside RCU sections (Linux: __rcu, rcu_dereference and
/// rcu_assign_pointer). Does not own.
template <class T>
class RcuPtr {
 public:
  constexpr RcuPtr() = default;
  explicit constexpr RcuPtr(T* pointer) : pointer_(pointer) {}

  /// What the pointer refers to now; valid until the current section ends.
  [[nodiscard]] RcuRef<T> Read(SourceLoc where = SourceLoc::Current()) const {
    return RcuRef<T>(pointer_.Load(kAcquire, where));  // pairs with Publish
  }
  /// Makes a fully built object, or null, visible to readers.
  void Publish(T* pointer, SourceLoc where = SourceLoc::Current()) {
    pointer_.Store(pointer, kRelease, where);  // pairs with Read
  }
  /// What the pointer refers to, for writers who hold the lock that guards it.
  [[nodiscard]] T* LoadLocked(SourceLoc where = SourceLoc::Current()) const {
    return pointer_.Load(kRelaxed, where);  // relaxed: the lock orders it
  }

 private:
  Atomic<T*> pointer_{nullptr};
};

}  // namespace faultline
