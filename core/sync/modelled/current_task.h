// SPDX-License-Identifier: Apache-2.0
//
// The running fiber's task in the modelled build. Outside of an execution there is one idle task
// per OS thread, so that unit tests may use locks without a scenario.
#pragma once

#include "core/base/build.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace detail {
Task& IdleTask();
}  // namespace detail

/// The calling fiber's task.
[[nodiscard]] inline Task& CurrentTask() {
  const Execution* execution = Execution::Current();
  return execution != nullptr ? execution->current_task() : detail::IdleTask();
}

/// Tasks are named by Execution::Spawn; this exists for code that both builds share.
inline void NameCurrentTask(std::string_view /*name*/) {}

}  // namespace faultline
