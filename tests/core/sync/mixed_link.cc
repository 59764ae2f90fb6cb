// SPDX-License-Identifier: Apache-2.0
//
// A program of the native flavour. It links with the native library, and must not link with the
// modelled one; see CMakeLists.txt.

#include "core/sync/sync.h"

int main() {
  faultline::RwSem<faultline::LockRank::kTestOuter> sem;
  const faultline::WriteGuard guard(sem);
  faultline::Rcu::Synchronize();
  return sem.IsWriteHeld() ? 0 : 1;
}
