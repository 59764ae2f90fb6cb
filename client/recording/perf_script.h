// SPDX-License-Identifier: Apache-2.0
//
// Makes a recording of what `perf script` printed: page faults, system calls that change mappings,
// acquisitions of mmap_lock, and the records of mappings and tasks. Recorded and printed by
//
//   perf record -m 8M -e $EVENTS -c 1 PROGRAM
//   perf script --ns --show-mmap-events --show-task-events -F comm,pid,tid,cpu,time,event,trace
//
// with exceptions:page_fault_*, mmap_lock:mmap_lock_* and syscalls:sys_enter_* and sys_exit_* of
// the memory calls as EVENTS.
//
// Effects are ordered by when the calls got mmap_lock for write, which is the kernel's own order.
#pragma once

#include "absl/status/statusor.h"

#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {

/// DATA_LOSS with file and line for what import.h lists; a process that does not exit, or a call
/// that does not end before its thread does, means that the text is truncated.
[[nodiscard]] absl::StatusOr<Recording> ImportPerfScript(LineReader& lines,
                                                         const ImportOptions& options);

}  // namespace faultline::client
