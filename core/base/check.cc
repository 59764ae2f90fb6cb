// SPDX-License-Identifier: Apache-2.0
//
// The failing half of check.h: format one line, ask the handler, print, abort.
//
// The message is built in a buffer on the stack and cut when it does not fit, since a check may
// fail when memory is short or a lock of the allocator is held.
//
// Linux analogue: lib/bug.c (report_bug).
// Invariant: every path through this file ends in std::abort or in a handler that never returns.

#include "core/base/check.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr std::size_t kMessageBytes = 1024;
constexpr std::size_t kOperandBytes = 32;

// Unsynchronised on purpose: see SetCheckHandler.
CheckHandler installed_handler = nullptr;

[[noreturn]] void Fail(const char* message) {
  if (installed_handler != nullptr) installed_handler(message);
  std::fprintf(stderr, "%s\n", message);
  std::fflush(stderr);
  std::abort();
}

void FormatOperand(check_internal::Operand operand, char (&out)[kOperandBytes]) {
  using Kind = check_internal::Operand::Kind;
  switch (operand.kind) {
    case Kind::kSigned:
      std::snprintf(out, sizeof(out), "%" PRId64, static_cast<std::int64_t>(operand.bits));
      return;
    case Kind::kUnsigned:
      std::snprintf(out, sizeof(out), "%" PRIu64 " (0x%" PRIx64 ")", operand.bits, operand.bits);
      return;
    case Kind::kBool:
      std::snprintf(out, sizeof(out), "%s", operand.bits != 0 ? "true" : "false");
      return;
    case Kind::kPointer:
      std::snprintf(out, sizeof(out), "0x%" PRIx64, operand.bits);
      return;
    case Kind::kOpaque:
      break;
  }
  std::snprintf(out, sizeof(out), "?");
}

}  // namespace

CheckHandler SetCheckHandler(CheckHandler handler) noexcept {
  return std::exchange(installed_handler, handler);
}

void CheckFailed(const char* file, int line, const char* expr) {
  char message[kMessageBytes];
  std::snprintf(message, sizeof(message), "%s:%d: check failed: %s", file, line, expr);
  Fail(message);
}

void UnreachableReached(const char* file, int line, const char* message_text) {
  char message[kMessageBytes];
  std::snprintf(message, sizeof(message), "%s:%d: unreachable: %s", file, line, message_text);
  Fail(message);
}

void check_internal::ComparisonFailed(const char* file, int line, const char* expr, Operand left,
                                      Operand right) {
  char left_text[kOperandBytes];
  char right_text[kOperandBytes];
  FormatOperand(left, left_text);
  FormatOperand(right, right_text);
  char message[kMessageBytes];
  std::snprintf(message, sizeof(message), "%s:%d: check failed: %s: %s vs %s", file, line, expr,
                left_text, right_text);
  Fail(message);
}

}  // namespace faultline
