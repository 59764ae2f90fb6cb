// SPDX-License-Identifier: Apache-2.0
//
// Scheme rcu_restart; see rcu_restart.h.
#include "core/fault/schemes/rcu_restart.h"

#include "core/fault/ladder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool RcuRestartScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  hold.section.emplace();
  hold.reason = CopyVma(target, request.addr, hold.note, hold.view);
  if (hold.reason == LeaveReason::kNone) return true;
  hold.section.reset();
  return false;
}

template FaultOutcome Fault<RcuRestartScheme>(FaultTarget&, const FaultRequest&);
static_assert(FaultScheme<RcuRestartScheme>);

}  // namespace faultline
