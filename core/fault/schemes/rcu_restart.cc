// SPDX-License-Identifier: Apache-2.0
//
// Scheme rcu_restart; see rcu_restart.h.
#include "core/fault/schemes/rcu_restart.h"

#include "core/fault/ladder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

bool RcuRestartScheme::Begin(FaultTarget& target, const FaultRequest& request, Hold& hold) {
  return BeginWithCopy(target, request.addr, hold);
}

template FaultOutcome Fault<RcuRestartScheme>(FaultTarget&, const FaultRequest&, FaultEventScope&);
static_assert(FaultScheme<RcuRestartScheme>);

}  // namespace faultline
