// SPDX-License-Identifier: Apache-2.0
//
// Makes an ErrorDetail. A value is shortened to the 256 bytes that error.proto promises, at a
// boundary of UTF-8 characters: a string field that is not UTF-8 could not be sent at all.
//
// Invariant: what is returned can be put on the wire whatever the value was; bytes that are no
// UTF-8 come from clients only in fields that protobuf has checked, so cutting is the one danger.
#include "proto/columns/error_detail.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace faultline::columns {
namespace {

constexpr std::size_t kMaxValueBytes = 256;

/// True for the second and later bytes of a character.
bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U; }

std::string_view Shortened(std::string_view text) {
  if (text.size() <= kMaxValueBytes) return text;
  std::size_t end = kMaxValueBytes;
  while (end > 0 && IsContinuation(text[end])) --end;
  return text.substr(0, end);
}

}  // namespace

v1::ErrorDetail MakeProblem(v1::ErrorReason reason, const ProblemText& text) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  detail.set_field(std::string(text.field));
  detail.set_value(std::string(Shortened(text.value)));
  detail.set_allowed(std::string(text.allowed));
  return detail;
}

}  // namespace faultline::columns
