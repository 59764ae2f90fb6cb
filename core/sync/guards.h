// SPDX-License-Identifier: Apache-2.0
//
// Scoped holds of the core's locks (Linux: guard() and scoped_guard() of cleanup.h). Outside sync/
// and the schemes nobody calls Lock and Unlock by hand (rule `guards-only`). A guard belongs to the
// task that made it and to one scope: it is neither copied nor moved. Reports give the guard's own
// line as the place of the release.
#pragma once

#include <absl/base/thread_annotations.h>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/lock_hooks.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Holds a SpinLock or Mutex exclusively.
template <class Lock>
class ABSL_SCOPED_LOCKABLE LockGuard {
 public:
  explicit LockGuard(Lock& lock, LockSubclass subclass = LockSubclass::kNormal,
                     SourceLoc where = SourceLoc::Current()) ABSL_EXCLUSIVE_LOCK_FUNCTION(lock)
      : lock_(lock), where_(where) {
    lock.Lock(subclass, where);
  }
  ~LockGuard() ABSL_UNLOCK_FUNCTION() { lock_.Unlock(where_); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lock& lock_;
  [[no_unique_address]] SourceLoc where_;
};

/// Holds an RwSem for reading.
template <class Sem>
class ABSL_SCOPED_LOCKABLE ReadGuard {
 public:
  explicit ReadGuard(Sem& sem, LockSubclass subclass = LockSubclass::kNormal,
                     SourceLoc where = SourceLoc::Current()) ABSL_SHARED_LOCK_FUNCTION(sem)
      : sem_(sem), where_(where) {
    sem.LockShared(subclass, where);
  }
  ~ReadGuard() ABSL_UNLOCK_FUNCTION() { sem_.UnlockShared(where_); }
  ReadGuard(const ReadGuard&) = delete;
  ReadGuard& operator=(const ReadGuard&) = delete;

 private:
  Sem& sem_;
  [[no_unique_address]] SourceLoc where_;
};

/// Holds an RwSem for writing.
template <class Sem>
class ABSL_SCOPED_LOCKABLE WriteGuard {
 public:
  explicit WriteGuard(Sem& sem, LockSubclass subclass = LockSubclass::kNormal,
                      SourceLoc where = SourceLoc::Current()) ABSL_EXCLUSIVE_LOCK_FUNCTION(sem)
      : sem_(sem), where_(where) {
    sem.Lock(subclass, where);
  }
  ~WriteGuard() ABSL_UNLOCK_FUNCTION() { sem_.Unlock(where_); }
  WriteGuard(const WriteGuard&) = delete;
  WriteGuard& operator=(const WriteGuard&) = delete;

 private:
  Sem& sem_;
  [[no_unique_address]] SourceLoc where_;
};

}  // namespace faultline
