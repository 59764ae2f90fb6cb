// SPDX-License-Identifier: Apache-2.0
//
// Refusals as gRPC statuses; see status.h.
#include "server/status.h"

#include <string>

#include <absl/strings/str_cat.h>

namespace faultline::server {
namespace {

/// More of a value is not sent: it came from the client, which has it.
constexpr size_t kMaxValueBytes = 256;

std::string Shortened(const std::string& value) {
  // Whole characters: the field is UTF-8, as the request's was.
  size_t end = kMaxValueBytes;
  if (value.size() <= end) return value;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
  return value.substr(0, end);
}

/// "ERROR_REASON_OUT_OF_RANGE" without its prefix.
std::string NameOf(v1::ErrorReason reason) {
  constexpr size_t kPrefix = sizeof("ERROR_REASON_") - 1;
  return v1::ErrorReason_Name(reason).substr(kPrefix);
}

std::string Sentence(const Refusal& refusal, const std::string& value) {
  std::string sentence = NameOf(refusal.reason);
  if (!refusal.field.empty()) sentence += ": " + refusal.field;
  if (!value.empty()) sentence += " is '" + value + "'";
  if (!refusal.allowed.empty()) sentence += "; allowed: " + refusal.allowed;
  return sentence;
}

}  // namespace

grpc::StatusCode CodeOf(v1::ErrorReason reason) {
  switch (reason) {
    case v1::ERROR_REASON_INVALID_NAME:
    case v1::ERROR_REASON_MISSING_FIELD:
    case v1::ERROR_REASON_OUT_OF_RANGE:
    case v1::ERROR_REASON_UNKNOWN_ENUM_VALUE:
    case v1::ERROR_REASON_COLUMN_LENGTH:
    case v1::ERROR_REASON_REFUSED_COMBINATION:
    case v1::ERROR_REASON_INVALID_PAGE_TOKEN:
    case v1::ERROR_REASON_INVALID_REPLAY:
    case v1::ERROR_REASON_PROTOCOL:
    case v1::ERROR_REASON_ROUTING_HEADER:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case v1::ERROR_REASON_NOT_FOUND:
    case v1::ERROR_REASON_OTHER_INSTANCE:
      return grpc::StatusCode::NOT_FOUND;
    case v1::ERROR_REASON_ALREADY_EXISTS:
      return grpc::StatusCode::ALREADY_EXISTS;
    case v1::ERROR_REASON_IN_USE:
    case v1::ERROR_REASON_MM_EXITED:
    case v1::ERROR_REASON_TUNABLE_FIXED:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case v1::ERROR_REASON_LIMIT_REACHED:
    case v1::ERROR_REASON_OVERLOADED:
    case v1::ERROR_REASON_HOST_MEMORY:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case v1::ERROR_REASON_DRAINING:
      return grpc::StatusCode::UNAVAILABLE;
    case v1::ERROR_REASON_NOT_SUPPORTED:
      return grpc::StatusCode::UNIMPLEMENTED;
    case v1::ERROR_REASON_UNAUTHENTICATED:
      return grpc::StatusCode::UNAUTHENTICATED;
    case v1::ERROR_REASON_PERMISSION_DENIED:
      return grpc::StatusCode::PERMISSION_DENIED;
    default:
      return grpc::StatusCode::INTERNAL;
  }
}

grpc::Status ToStatus(const Refusal& refusal, uint64_t instance_epoch) {
  const grpc::StatusCode code = CodeOf(refusal.reason);
  v1::ErrorDetail detail;
  detail.set_reason(refusal.reason);
  detail.set_field(refusal.field);
  detail.set_value(Shortened(refusal.value));
  detail.set_allowed(refusal.allowed);
  detail.set_retry_after_ns(refusal.retry_after_ns);
  detail.set_instance_epoch(instance_epoch);

  v1::RpcStatus status;
  status.set_code(static_cast<int32_t>(code));
  status.set_message(Sentence(refusal, detail.value()));
  status.add_details()->PackFrom(detail);
  return {code, status.message(), status.SerializeAsString()};
}

}  // namespace faultline::server
