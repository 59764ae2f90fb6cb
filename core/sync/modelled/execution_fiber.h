// SPDX-License-Identifier: Apache-2.0
//
// One fiber of an Execution: its context, its task, and what the execution keeps about it. Internal
// to core/sync/modelled.
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/build.h"
#include "core/sync/lock_stats.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/fiber.h"
#include "core/sync/task.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

struct Fiber {
  explicit Fiber(Execution& owner)
      : execution(owner), stack([](void* self) { Main(*static_cast<Fiber*>(self)); }, this) {}

  [[noreturn]] static void Main(Fiber& fiber);

  Execution& execution;
  FiberStack stack;
  Task task;
  LockStatsShard stats;
  std::function<void()> code;
  int index = kNoFiber;

  Op pending{};
  Condition ready;
  int step_depth = 0;    ///< nesting of AtomicStep brackets
  bool finished = true;  ///< at rest between runs; false after a run: abandoned

  uint32_t rcu_depth = 0;
  uint64_t rcu_section = 0;  ///< identifies the current section; 0 outside
  uint64_t rcu_began = 0;    ///< stamp of the section's first step; 0: no step yet
  SourceLoc rcu_entered_at;

  RefCursor cursor;
  const Piece* speculating_on = nullptr;  ///< slot that an open Speculate scope copies from
};

/// The loop that drives the fibers: the context of Execution::Run's caller.
struct LoopContext {
  FiberContext context;
};

}  // namespace faultline
