// SPDX-License-Identifier: Apache-2.0
//
// Fibers of the modelled build: user-level contexts on pooled, guard-paged stacks, switched by
// Boost.Context's fcontext. No Linux analogue; the shape is that of a kernel thread's switch_to.
//
// Invariants: a stack overflow hits the guard page and never another fiber's stack;
// AddressSanitizer and ThreadSanitizer are told of every switch, so both see each fiber as its own
// thread of execution; a context is entered only by `SwitchContext`, from the context that
// currently runs. A fiber whose body finished can be armed again at no cost; one that was abandoned
// in the middle of its body (a violation ended the schedule) is rebuilt, and destructors on its
// stack do not run.
#pragma once

#include <cstddef>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class FiberStack;

/// A suspended point of control: a fiber's, or that of the loop which drives the fibers.
struct FiberContext {
  void* machine_context = nullptr;     ///< fcontext_t; valid while suspended
  const void* stack_bottom = nullptr;  ///< for AddressSanitizer; learnt at run time for the loop
  size_t stack_size = 0;
  void* asan_fake_stack = nullptr;
  void* tsan_fiber = nullptr;
  FiberStack* stack = nullptr;  ///< null for the loop that drives the fibers
};

/// Suspends `from`, which must be the running context, and resumes `to`. Returns when someone
/// switches back to `from`.
void SwitchContext(FiberContext& from, FiberContext& to);

/// Fills in what sanitizers need to know of the calling thread's own stack.
void AdoptThreadContext(FiberContext& context);

/// A context with a stack of its own that runs `entry(argument)`, which must never return.
class FiberStack {
 public:
  using Entry = void (*)(void* argument);

  /// Bytes of usable stack per fiber; sanitizer builds need more.
  static constexpr size_t kStackSize = (FAULTLINE_ASAN || FAULTLINE_TSAN) ? 512 * 1024 : 128 * 1024;

  FiberStack(Entry entry, void* argument);
  ~FiberStack();
  FiberStack(const FiberStack&) = delete;
  FiberStack& operator=(const FiberStack&) = delete;

  /// Throws away whatever the fiber was doing and makes its next resumption start `entry` afresh.
  void Rebuild();

  /// Whether `address` is that of a local variable of code on this stack.
  [[nodiscard]] bool Contains(const void* address) const;

  [[nodiscard]] FiberContext& context() { return context_; }

 private:
  Entry entry_;
  void* argument_;
  std::byte* mapping_;  ///< guard page first, then the stack
  FiberContext context_;
};

}  // namespace faultline
