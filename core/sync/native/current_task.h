// SPDX-License-Identifier: Apache-2.0
//
// The calling thread's task in the native build (Linux: `current`). A thread is attached on its
// first use of the sync layer and detached when it exits; both register it with RCU.
// Invariant: a detached Task is reused, never freed (see task.h).
#pragma once

#include "core/base/build.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace detail {
inline thread_local constinit Task* tls_task = nullptr;
/// Attaches the calling thread. Allocates; off every hot path after the first call.
Task& AttachThread();
}  // namespace detail

/// The calling thread's task.
[[nodiscard]] FAULTLINE_ALWAYS_INLINE Task& CurrentTask() {
  Task* task = detail::tls_task;
  if (task == nullptr) [[unlikely]] {
    return detail::AttachThread();
  }
  return *task;
}

/// Names the calling thread's task in reports. `name` must outlive the thread.
void NameCurrentTask(std::string_view name);

}  // namespace faultline
