// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fiber.h. fcontext hands the suspended context of whoever jumped to whoever was
// jumped to; `SwitchContext` passes both FiberContexts along, so that the arriving side can store
// that context where the next switch will look for it.
#include "core/sync/modelled/fiber.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>

#include "core/base/check.h"

#if FAULTLINE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if FAULTLINE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

namespace fcontext = boost::context::detail;

size_t GuardSize() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void AnnounceSwitch([[maybe_unused]] FiberContext& from, [[maybe_unused]] FiberContext& to) {
#if FAULTLINE_ASAN
  __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack_bottom, to.stack_size);
#endif
#if FAULTLINE_TSAN
  // Flag 0: a switch orders what came before it with what comes after, as on one processor.
  __tsan_switch_to_fiber(to.tsan_fiber, 0);
#endif
}

/// Travels with a jump; lives in the leaving side's frame, which stays put while it is suspended.
struct Jump {
  FiberContext* from;
  FiberContext* to;
};

/// Runs first on the arriving side: remembers where the leaving side can be resumed.
void CompleteSwitch(fcontext::transfer_t transfer, [[maybe_unused]] void* asan_fake_stack) {
#if FAULTLINE_ASAN
  __sanitizer_finish_switch_fiber(asan_fake_stack, nullptr, nullptr);
#endif
  static_cast<const Jump*>(transfer.data)->from->machine_context = transfer.fctx;
}

}  // namespace

void SwitchContext(FiberContext& from, FiberContext& to) {
  Jump jump{&from, &to};
  AnnounceSwitch(from, to);
  const fcontext::transfer_t transfer = fcontext::jump_fcontext(to.machine_context, &jump);
  CompleteSwitch(transfer, from.asan_fake_stack);
}

void AdoptThreadContext([[maybe_unused]] FiberContext& context) {
#if FAULTLINE_ASAN
  pthread_attr_t attributes;
  void* bottom = nullptr;
  size_t size = 0;
  MM_CHECK_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
  MM_CHECK_EQ(pthread_attr_getstack(&attributes, &bottom, &size), 0);
  pthread_attr_destroy(&attributes);
  context.stack_bottom = bottom;
  context.stack_size = size;
#endif
#if FAULTLINE_TSAN
  context.tsan_fiber = __tsan_get_current_fiber();
#endif
}

FiberStack::FiberStack(Entry entry, void* argument) : entry_(entry), argument_(argument) {
  void* mapping = mmap(nullptr, GuardSize() + kStackSize, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  MM_CHECK(mapping != MAP_FAILED);
  MM_CHECK_EQ(mprotect(mapping, GuardSize(), PROT_NONE), 0);
  mapping_ = static_cast<std::byte*>(mapping);
  context_.stack_bottom = mapping_ + GuardSize();
  context_.stack_size = kStackSize;
  context_.stack = this;
  Rebuild();
}

FiberStack::~FiberStack() {
#if FAULTLINE_TSAN
  __tsan_destroy_fiber(context_.tsan_fiber);
#endif
  munmap(mapping_, GuardSize() + kStackSize);
}

bool FiberStack::Contains(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  bool contains = byte >= mapping_ && byte < mapping_ + GuardSize() + kStackSize;
#if FAULTLINE_ASAN
  // With detect_stack_use_after_return, locals live in a stack of AddressSanitizer's.
  if (!contains && context_.asan_fake_stack != nullptr) {
    contains = __asan_addr_is_in_fake_stack(context_.asan_fake_stack, const_cast<void*>(address),
                                            nullptr, nullptr) != nullptr;
  }
#endif
  return contains;
}

void FiberStack::Rebuild() {
#if FAULTLINE_ASAN
  // Frames of an abandoned body left their redzones behind.
  __asan_unpoison_memory_region(context_.stack_bottom, context_.stack_size);
#endif
#if FAULTLINE_TSAN
  if (context_.tsan_fiber != nullptr) __tsan_destroy_fiber(context_.tsan_fiber);
  context_.tsan_fiber = __tsan_create_fiber(0);
#endif
  context_.asan_fake_stack = nullptr;
  context_.machine_context = fcontext::make_fcontext(
      mapping_ + GuardSize() + kStackSize, kStackSize, [](fcontext::transfer_t transfer) {
        FiberStack& self = *static_cast<const Jump*>(transfer.data)->to->stack;
        CompleteSwitch(transfer, nullptr);
        self.entry_(self.argument_);
        MM_UNREACHABLE("a fiber's entry function returned");
      });
}

}  // namespace faultline
