// SPDX-License-Identifier: Apache-2.0
//
// The recorded half of FaultEventScope: taking the time, and the task's longest wait since then.
#include "core/observe/fault_events.h"

#include <utility>

#include "core/sync/sync_clock.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

void FaultEventScope::Begin(VirtAddr address, uint8_t access) {
  Open& open = open_.emplace();
  open.event.address = address;
  open.event.access = access;
  open.waited_before = std::exchange(self_.longest_wait, EndedWait{});
  open.event.begin = SyncClockNs();
}

void FaultEventScope::End() {
  FaultEvent& event = open_->event;
  event.duration = SyncClockNs() - event.begin;
  const EndedWait& wait = self_.longest_wait;
  event.waited_for = wait.rank;
  event.waited_ns = wait.ns;
  event.holder = wait.holder;
  event.holder_activity = wait.holder_activity;
  self_.NoteWait(open_->waited_before);  // a scope around this one asks for all since its own begin
  if (self_.fault_events != nullptr) self_.fault_events->Write(event);
}

}  // namespace faultline
