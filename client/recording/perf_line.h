// SPDX-License-Identifier: Apache-2.0
//
// One line of `perf script --ns --show-mmap-events --show-task-events -F
// comm,pid,tid,cpu,time,event,trace` as an event: the shapes of perf 6, in which fields of
// tracepoints have names, but always the same order.
//
//   COMM PID/TID [CPU] SECONDS: GROUP:NAME: FIELDS
//   COMM PID/TID [CPU] SECONDS: PERF_RECORD_TYPE ...
//
// The name of a thread is anything, spaces included, so the first place where the rest looks right
// is where it ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "client/recording/recording.h"

namespace faultline::client {

enum class PerfType : uint8_t {
  kIgnored,    ///< known, and of no interest
  kEnter,      ///< of a call with `kind`: args
  kExit,       ///< of the same: args[0] the result
  kUserFault,  ///< args as those of the operation
  kKernelFault,
  kLockStart,     ///< args[0] mm, args[1] 1 for write
  kLockAcquired,  ///< and args[2] 1 for success
  kMmap,          ///< `mapping`; pid and tid are those in the text
  kComm,          ///< `text` the name
  kExec,          ///< the same
  kFork,          ///< pid and tid are the child's; args[0] the parent's tid, args[1] its pid
  kThreadExit,    ///< pid and tid of who exited
  kLost,          ///< args[0] how many, 0 if not said
  kUnsupported,   ///< a call that cannot be carried: `text`
  kUnread,        ///< not a line of that shape, or of an event that is not known
};

struct PerfEvent {
  PerfType type = PerfType::kUnread;
  OpKind kind = OpKind::kMmap;
  uint32_t pid = 0;
  uint32_t tid = 0;
  uint32_t cpu = 0;
  uint64_t time_ns = 0;
  std::string comm;
  std::array<uint64_t, kMaxArguments> args{};
  Mapping mapping;
  std::string text;
};

[[nodiscard]] PerfEvent ParsePerfLine(std::string_view line);

}  // namespace faultline::client
