// SPDX-License-Identifier: Apache-2.0
//
// One line of `strace -f -ttt -T`, apart from what its call means:
//
//   [TID or "[pid TID]"] SECONDS NAME(ARGUMENTS) = RESULT <SECONDS>
//   ...                          NAME(ARGUMENTS <unfinished ...>
//   ...                          <... NAME resumed>ARGUMENTS) = RESULT <SECONDS>
//   ...                          --- SIGNAL ---      +++ exited with 0 +++
//
// With -o each line begins with the tid; on a terminal it is "[pid TID]", and missing while there
// is one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace faultline::client {

enum class StraceType : uint8_t {
  kCall,        ///< all of it
  kUnfinished,  ///< its beginning
  kResumed,     ///< its end
  kSignal,
  kExited,  ///< exited, killed or superseded by an exec
  kNotice,  ///< strace's own word on attaching
  kUnread,
};

/// Points into the line.
struct StraceLine {
  StraceType type = StraceType::kUnread;
  std::optional<uint32_t> tid;
  uint64_t time_ns = 0;
  std::string_view name;
  std::string_view arguments;
  /// What stands behind the =, without the time.
  std::string_view result;
  uint64_t duration_ns = 0;
  /// kExited.
  uint64_t status = 0;
};

[[nodiscard]] StraceLine ParseStraceLine(std::string_view line);

}  // namespace faultline::client
