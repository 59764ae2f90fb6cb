// SPDX-License-Identifier: Apache-2.0
//
// The native RCU operations that are not inlined; see rcu.h.
#include "core/sync/rcu.h"

#include "core/sync/lockdep.h"

#if FAULTLINE_TSAN
// liburcu orders its own allocations by atomics that ThreadSanitizer does not see. Only calls made
// by the library itself are exempt; callbacks, which it calls, are not.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:liburcu-memb.so\n"; }
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {

#if FAULTLINE_TSAN
char Rcu::tsan_grace_period_ = 0;
char Rcu::tsan_callbacks_ = 0;
#endif

void Rcu::Retire(RcuHead& head, RcuHead::Callback callback, SourceLoc /*where*/) {
  head.callback_ = callback;
#if FAULTLINE_TSAN
  __tsan_release(&head);
#endif
  (void)CurrentTask();  // call_rcu, too, wants a registered thread
  urcu_memb_call_rcu(&head.head_, [](rcu_head* raw) {
    auto* retired = reinterpret_cast<RcuHead*>(raw);  // head_ is the first member
#if FAULTLINE_TSAN
    __tsan_acquire(&tsan_grace_period_);
    __tsan_acquire(retired);
#endif
    retired->callback_(retired);
#if FAULTLINE_TSAN
    __tsan_release(&tsan_callbacks_);
#endif
  });
}

void Rcu::Synchronize(SourceLoc where) {
  (void)CurrentTask();
  MaySleep("synchronize", where);
  urcu_memb_synchronize_rcu();
#if FAULTLINE_TSAN
  __tsan_acquire(&tsan_grace_period_);
#endif
}

void Rcu::Barrier(SourceLoc where) {
  (void)CurrentTask();
  MaySleep("rcu barrier", where);
  urcu_memb_barrier();
#if FAULTLINE_TSAN
  __tsan_acquire(&tsan_callbacks_);
#endif
}

}  // namespace faultline
