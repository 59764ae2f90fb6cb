// SPDX-License-Identifier: Apache-2.0
//
// Details of statuses; see refusals.h. They are read as a client would, from bytes, and the status
// code is compared with the reason's by the words of error.proto's comments, not by the server's
// own table.
#include "tests/server/testing/refusals.h"

#include <absl/strings/str_cat.h>

namespace faultline::server::testing {
namespace {

/// Numbers of reasons are in blocks of ten, one for each code; but for the two last ones.
grpc::StatusCode CodeByBlock(v1::ErrorReason reason) {
  if (reason == v1::ERROR_REASON_ALREADY_EXISTS) return grpc::StatusCode::ALREADY_EXISTS;
  if (reason == v1::ERROR_REASON_PERMISSION_DENIED) return grpc::StatusCode::PERMISSION_DENIED;
  if (reason <= v1::ERROR_REASON_ROUTING_HEADER) return grpc::StatusCode::INVALID_ARGUMENT;
  switch (reason / 10) {
    case 2:
      return grpc::StatusCode::NOT_FOUND;
    case 3:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case 4:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case 5:
      return grpc::StatusCode::UNAVAILABLE;
    case 6:
      return grpc::StatusCode::UNIMPLEMENTED;
    case 7:
      return grpc::StatusCode::UNAUTHENTICATED;
    default:
      return grpc::StatusCode::INTERNAL;
  }
}

}  // namespace

std::optional<v1::ErrorDetail> DetailOf(const grpc::Status& status) {
  v1::RpcStatus rpc;
  v1::ErrorDetail detail;
  if (!rpc.ParseFromString(status.error_details()) || rpc.details_size() != 1) return {};
  if (!rpc.details(0).UnpackTo(&detail)) return {};
  return detail;
}

std::string WhyNotRefusal(const grpc::Status& status, v1::ErrorReason reason,
                          const std::string& field) {
  const auto detail = DetailOf(status);
  if (!detail) return "it has no detail: " + Describe(status);
  if (detail->reason() != reason || detail->field() != field) return Describe(status);
  if (status.error_code() != CodeByBlock(reason)) return "its code is another: " + Describe(status);
  if (status.error_message().empty()) return "it has no sentence: " + Describe(status);
  if (detail->instance_epoch() == 0) return "it has no instance: " + Describe(status);
  if (detail->allowed().empty()) return "it does not say what is allowed: " + Describe(status);
  return {};
}

std::string Describe(const grpc::Status& status) {
  const auto detail = DetailOf(status);
  return absl::StrCat("code ", static_cast<int>(status.error_code()), ", '", status.error_message(),
                      "', ", detail ? detail->ShortDebugString() : "no detail");
}

}  // namespace faultline::server::testing
