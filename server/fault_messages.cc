// SPDX-License-Identifier: Apache-2.0
//
// Explanations of faults; see fault_messages.h.
#include "server/fault_messages.h"

#include "core/observe/activity.h"
#include "server/options.h"

namespace faultline::server {
namespace {

constexpr FaultRung kRungs[] = {FaultRung::kValidated, FaultRung::kVmaLock, FaultRung::kMmapLock};

}  // namespace

void ToProto(const FaultEvent& event, v1::FaultExplanation& out) {
  out.set_duration_ns(event.duration);
  for (const FaultRung rung : kRungs) {
    const bool entered = event.rungs.Has(rung);
    const LeaveReason reason = event.reason(rung);
    if (!entered && reason == LeaveReason::kNone) continue;  // the scheme has no such rung
    v1::RungVisit& visit = *out.add_rungs();
    visit.set_rung(ToProto(rung));
    visit.set_entered(entered);
    visit.set_reason(ToProto(reason));
  }
  if (!event.waited()) return;
  out.set_waited_ns(event.waited_ns);
  out.set_waited_for(ToProto(event.waited_for));
  out.set_holder(event.holder);
  if (event.holder != 0) out.set_holder_activity(ToProto(ActivityOf(event.holder_activity)));
}

columns::Rungs RungsOf(const FaultEvent& event) {
  columns::Rungs rungs;
  for (const FaultRung rung : kRungs) {
    if (event.rungs.Has(rung)) rungs.On(ToProto(rung));
    const LeaveReason reason = event.reason(rung);
    if (reason != LeaveReason::kNone) rungs.Left(ToProto(rung), ToProto(reason));
  }
  return rungs;
}

}  // namespace faultline::server
