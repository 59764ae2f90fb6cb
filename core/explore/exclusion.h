// SPDX-License-Identifier: Apache-2.0
//
// `Exclusion` watches the critical sections of a scenario. It has scheduling points inside, so that
// a lock which lets two in at once is caught in the act: every entry checks the rule of readers and
// writers against who is inside right then.
#pragma once

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/sync/sync.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Who is inside a critical section; checks the rule of readers and writers at every entry.
class Exclusion {
 public:
  void Write() {
    MM_CHECK_EQ(readers_, 0);
    MM_CHECK_EQ(writers_, 0);
    ++writers_;
    Linger();
    --writers_;
    ++writes_;
  }
  void Read() {
    MM_CHECK_EQ(writers_, 0);
    ++readers_;
    Linger();
    --readers_;
  }
  /// Between these a writer has downgraded: readers may be there, writers may not.
  void BeginShared() {
    MM_CHECK_EQ(writers_, 0);
    ++readers_;
  }
  void EndShared() {
    Linger();
    --readers_;
  }
  [[nodiscard]] int writes() const { return writes_; }

 private:
  void Linger() { (void)point_.Load(kRelaxed); }

  Atomic<int> point_{0};
  int readers_ = 0;  // plain: a step is atomic, and the checks are about steps
  int writers_ = 0;
  int writes_ = 0;
};

}  // namespace faultline
