// SPDX-License-Identifier: Apache-2.0
//
// Refusals as a client sees them: reads the ErrorDetail of a status, and matches it.
//
//   EXPECT_THAT(status, IsRefusal(v1::ERROR_REASON_INVALID_NAME, "mm"));
//
// A status whose code is not the one that goes with its reason, or whose sentence or instance is
// missing, never matches: every test of a refusal is one of those rules, too.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>

#include "faultline/v1/error.pb.h"

namespace faultline::server::testing {

/// The one detail in `grpc-status-details-bin`; nothing if there is none or it cannot be read.
[[nodiscard]] std::optional<v1::ErrorDetail> DetailOf(const grpc::Status& status);

/// What is wrong with a refusal that should have that reason and blame that field; empty: nothing.
[[nodiscard]] std::string WhyNotRefusal(const grpc::Status& status, v1::ErrorReason reason,
                                        const std::string& field);

/// For messages of failed expectations.
[[nodiscard]] std::string Describe(const grpc::Status& status);

MATCHER_P2(IsRefusal, reason, field, "is a refusal for that reason that blames that field") {
  const std::string why = WhyNotRefusal(arg, reason, field);
  *result_listener << why;
  return why.empty();
}

/// The same, with the value that was wrong.
MATCHER_P3(IsRefusal, reason, field, value, "is a refusal for that reason and that value") {
  std::string why = WhyNotRefusal(arg, reason, field);
  if (why.empty() && DetailOf(arg)->value() != value) why = Describe(arg);  // it has a detail
  *result_listener << why;
  return why.empty();
}

MATCHER(IsOk, "is OK") {
  if (!arg.ok()) *result_listener << Describe(arg);
  return arg.ok();
}

}  // namespace faultline::server::testing
