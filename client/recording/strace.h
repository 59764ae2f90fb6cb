// SPDX-License-Identifier: Apache-2.0
//
// Makes a recording of what `strace -f -ttt -T` printed, to a file (-o) or a terminal, with
// whatever further options change how arguments look: -y, -X raw. It has no faults and no
// acquisitions of mmap_lock, which the recording's marks say.
//
// strace prints a call when it has returned, and splits it if others come between: so the order of
// the ends of calls is the order of their effects, as far as a tracer can know it.
#pragma once

#include "absl/status/statusor.h"

#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {

/// DATA_LOSS with file and line for what import.h lists; a process that does not exit means that
/// the text is truncated.
[[nodiscard]] absl::StatusOr<Recording> ImportStrace(LineReader& lines,
                                                     const ImportOptions& options);

}  // namespace faultline::client
