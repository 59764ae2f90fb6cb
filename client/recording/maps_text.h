// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/maps as text, as the kernel prints it (show_map_vma): addresses in hexadecimal, rights,
// offset, device, inode, and behind column 73 a name, which may hold spaces and end in "
// (deleted)".
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {

/// One line; false if it is none.
[[nodiscard]] bool ParseMapsLine(std::string_view line, Mapping& mapping);

/// All of it; names keep what the kernel appended. An error names the line: one that is no line of
/// maps, or not behind the one before, or no end.
[[nodiscard]] absl::StatusOr<std::vector<Mapping>> ParseMaps(LineReader& lines);

}  // namespace faultline::client
