// SPDX-License-Identifier: Apache-2.0
//
// From the core's enums to the API's and back. A vocabulary that both have has the same order in
// both; the API's numbers begin at 1, since 0 is UNSPECIFIED, and have no gaps. So this is all that
// a conversion is, for every such enum.
//
// tests/proto/vocabulary_test.cc holds each of them against the core, value by value: an enumerator
// that is new, renamed or elsewhere on one side alone fails there. Knows no type of the core, so
// that sources of both flavours may include it. Errno is apart: both have Linux's numbers.
#pragma once

#include <optional>
#include <string>

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

namespace faultline::server {

/// The API's value for the core's.
template <class Api, class Core>
[[nodiscard]] constexpr Api ToApi(Core core) {
  return static_cast<Api>(static_cast<int>(core) + 1);
}

/// The core's for the API's; nothing for UNSPECIFIED and for numbers that are no value.
template <class Core, class Api>
[[nodiscard]] std::optional<Core> FromApi(Api api) {
  const int number = static_cast<int>(api);
  if (number <= 0 || number >= google::protobuf::GetEnumDescriptor<Api>()->value_count()) return {};
  return static_cast<Core>(number - 1);
}

/// "SCHEME_UNSPECIFIED = 0, SCHEME_MMAP_LOCK = 1, ...": what a request may say, from number `first`
/// on.
template <class Api>
[[nodiscard]] std::string ValuesOf(int first = 0) {
  const google::protobuf::EnumDescriptor* type = google::protobuf::GetEnumDescriptor<Api>();
  std::string values;
  for (int i = first; i < type->value_count(); ++i) {
    absl::StrAppend(&values, i == first ? "" : ", ", type->value(i)->name(), " = ",
                    type->value(i)->number());
  }
  return values;
}

}  // namespace faultline::server
