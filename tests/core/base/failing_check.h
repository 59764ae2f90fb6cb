// SPDX-License-Identifier: Apache-2.0
//
// FailureOf: runs code whose check is expected to fail, and returns the message of that check.
//
// It installs a handler that leaves by an exception, as the explorer's leaves by switching fibers;
// this costs microseconds where a death test costs a fork. It cannot be used for a check inside a
// noexcept function.

#pragma once

#include <string>

#include "core/base/check.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// The message of the check that `code` fails, or "" when it fails none.
template <class Code>
[[nodiscard]] std::string FailureOf(Code&& code) {
  struct Failure {
    std::string message;
  };
  struct HandlerScope {
    CheckHandler before = SetCheckHandler([](const char* message) { throw Failure{message}; });
    ~HandlerScope() { SetCheckHandler(before); }
  } scope;
  try {
    code();
  } catch (const Failure& failure) {
    return failure.message;
  }
  return "";
}

}  // namespace faultline
