// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a message, as the API tells it: an ErrorDetail with reason, field, value and
// what is allowed (proto/faultline/v1/error.proto).
//
// Checks of whole messages (WhyBad of batch_check.h, Validate of proto/workload) return one, or
// nothing. They depend on the message alone and on limits that are passed in, so that a client can
// ask the same question before it sends. The server adds its instance and the status code.
#pragma once

#include <optional>
#include <string_view>

#include "faultline/v1/error.pb.h"

namespace faultline::columns {

/// The first problem of a message; nothing: there is none.
using MaybeProblem = std::optional<v1::ErrorDetail>;

/// The parts of a problem by name.
struct ProblemText {
  /// The path of the field, such as "batch.lengths[17]".
  std::string_view field;
  /// Its value as text; what is behind the first 256 bytes is left out.
  std::string_view value;
  /// What is allowed there, for people.
  std::string_view allowed;
};

/// A detail of that reason. The instance and the time to wait are not set.
[[nodiscard]] v1::ErrorDetail MakeProblem(v1::ErrorReason reason, const ProblemText& text);

}  // namespace faultline::columns
