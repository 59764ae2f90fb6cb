// SPDX-License-Identifier: Apache-2.0
//
// Refusals of each reason; see refusal.h.
#include "server/refusal.h"

#include <absl/strings/str_cat.h>

namespace faultline::server {
namespace {

Refusal Make(v1::ErrorReason reason, std::string_view field, std::string_view value,
             std::string allowed) {
  return {.reason = reason,
          .field = std::string(field),
          .value = std::string(value),
          .allowed = std::move(allowed)};
}

}  // namespace

Refusal InvalidName(std::string_view field, std::string_view value, std::string_view form) {
  return Make(v1::ERROR_REASON_INVALID_NAME, field, value, std::string(form));
}

Refusal NotFound(std::string_view field, std::string_view value, std::string_view what) {
  return Make(v1::ERROR_REASON_NOT_FOUND, field, value, std::string(what) + " that exists");
}

Refusal OtherInstance(std::string_view field, std::string_view value) {
  return Make(v1::ERROR_REASON_OTHER_INSTANCE, field, value, "names that this instance has given");
}

Refusal MissingField(std::string_view field, std::string_view what) {
  return Make(v1::ERROR_REASON_MISSING_FIELD, field, "", std::string(what));
}

Refusal OutOfRange(std::string_view field, std::string_view value, std::string_view allowed) {
  return Make(v1::ERROR_REASON_OUT_OF_RANGE, field, value, std::string(allowed));
}

Refusal OutOfRange(std::string_view field, uint64_t value, std::string_view allowed) {
  return OutOfRange(field, std::to_string(value), allowed);
}

Refusal UnknownEnumValue(std::string_view field, int value, std::string_view allowed) {
  return Make(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, field, std::to_string(value),
              std::string(allowed));
}

Refusal LimitReached(std::string_view field, std::string_view limit, uint64_t value) {
  return Make(v1::ERROR_REASON_LIMIT_REACHED, field, "",
              "at most " + std::to_string(value) + " (" + std::string(limit) + ")");
}

Refusal AlreadyExists(std::string_view field, std::string_view value) {
  return Make(v1::ERROR_REASON_ALREADY_EXISTS, field, value, "an id that is not taken");
}

Refusal MmExited(std::string_view field, std::string_view value) {
  return Make(v1::ERROR_REASON_MM_EXITED, field, value, "an mm that is not exiting");
}

Refusal Overloaded(std::string_view limit, uint64_t value) {
  constexpr uint64_t kRetryAfterNs = 10'000'000;
  Refusal refusal = Make(v1::ERROR_REASON_OVERLOADED, "", "",
                         "at most " + std::to_string(value) + " (" + std::string(limit) + ")");
  refusal.retry_after_ns = kRetryAfterNs;
  return refusal;
}

Refusal NoThreadForIt(std::string_view limit, uint64_t value) {
  Refusal refusal = Overloaded(limit, value);
  refusal.allowed += ", and no more threads than the host gives";
  return refusal;
}

Refusal Draining() {
  return Make(v1::ERROR_REASON_DRAINING, "", "", "another instance of the server");
}

}  // namespace faultline::server
