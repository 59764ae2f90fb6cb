// SPDX-License-Identifier: Apache-2.0
//
// What a recording holds, for a person and for a program: how much of everything, who took
// mmap_lock, and what is missing.
#pragma once

#include <cstdint>
#include <string>

#include "client/recording/recording.h"

namespace faultline::client {

/// A recording and the file that it is in.
struct RecordingFile {
  const Recording& recording;
  std::string path;
  uint64_t bytes = 0;
};

/// A line about the file, a table of operations by kind, and a line for each mark.
[[nodiscard]] std::string TextOf(const RecordingFile& file);
/// The same as one JSON object; "schema" is the version of its shape, 1.
[[nodiscard]] std::string JsonOf(const RecordingFile& file);

}  // namespace faultline::client
