// SPDX-License-Identifier: Apache-2.0
//
// System calls by name, as tracers print them: which of them a recording carries, and which may be
// left out since they leave mappings alone.
//
// A name that is not known may be a call that changes mappings, so it is never left out in silence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client/recording/recording.h"

namespace faultline::client {

enum class CallClass : uint8_t {
  kCarried,      ///< becomes an operation with its arguments
  kProcess,      ///< makes or ends threads and images
  kHarmless,     ///< leaves mappings alone
  kUnsupported,  ///< changes mappings, and no operation can say how
  kUnknown,
};

struct SystemCall {
  CallClass call_class = CallClass::kUnknown;
  /// Of kCarried and kProcess.
  OpKind kind = OpKind::kMmap;
  /// How many arguments it is printed with, for kCarried.
  std::size_t arguments = 0;
};

[[nodiscard]] SystemCall FindSystemCall(std::string_view name);

/// pkey_mprotect's fourth argument when it is an mprotect.
inline constexpr uint64_t kNoProtectionKey = UINT64_MAX;

}  // namespace faultline::client
