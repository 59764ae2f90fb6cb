// SPDX-License-Identifier: Apache-2.0
//
// Reads a recording, or says where and why it is none. The bytes may be anything: a file of another
// kind, cut, damaged, or made to do harm.
//
// Guarantee: the result keeps the invariants of recording.h or is an error; memory is in proportion
// to the bytes, since every length is compared with what is there before it is used.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "client/recording/recording.h"

namespace faultline::client {

/// DATA_LOSS if it is cut or damaged, INVALID_ARGUMENT if it is no recording, UNIMPLEMENTED if it
/// is of another version. The message names the byte: "chunk 3 (operations) at byte 812: ...".
[[nodiscard]] absl::StatusOr<Recording> ReadRecording(std::string_view bytes);

/// From a file. The message begins with its path.
[[nodiscard]] absl::StatusOr<Recording> LoadRecording(const std::string& path);

}  // namespace faultline::client
