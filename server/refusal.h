// SPDX-License-Identifier: Apache-2.0
//
// Why a request was refused, as programs and people need to know it (proto: ErrorDetail): a reason,
// the field to blame as a path, its value, and what is allowed there. A refusal means that nothing
// was carried out. What a simulated call answers is no refusal but data.
//
// One status code goes with each reason; that table, and how a refusal travels, is status.h.
// `OrRefusal<T>` is what a check returns: what was asked for, or why not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "faultline/v1/error.pb.h"

namespace faultline::server {

struct Refusal {
  v1::ErrorReason reason = v1::ERROR_REASON_INTERNAL;
  // NOLINTBEGIN(readability-redundant-member-init): GCC wants them to be left out at will
  std::string field = {};    ///< as a path; empty if no field is to blame
  std::string value = {};    ///< as text; shortened when it is sent
  std::string allowed = {};  ///< for people: a range, a list, a limit with its name
  // NOLINTEND(readability-redundant-member-init)
  uint64_t retry_after_ns = 0;
};

/// The field has not the form that its kind of name has, such as "machines/M/mms/I".
[[nodiscard]] Refusal InvalidName(std::string_view field, std::string_view value,
                                  std::string_view form);
/// There is no such thing.
[[nodiscard]] Refusal NotFound(std::string_view field, std::string_view value,
                               std::string_view what);
/// The name's number was given by another instance of the server.
[[nodiscard]] Refusal OtherInstance(std::string_view field, std::string_view value);
[[nodiscard]] Refusal MissingField(std::string_view field, std::string_view what);
[[nodiscard]] Refusal OutOfRange(std::string_view field, std::string_view value,
                                 std::string_view allowed);
[[nodiscard]] Refusal OutOfRange(std::string_view field, uint64_t value, std::string_view allowed);
/// The enum has no value of that number; `allowed` lists those that there are.
[[nodiscard]] Refusal UnknownEnumValue(std::string_view field, int value, std::string_view allowed);
/// A sum is at a limit of Limits, which is named.
[[nodiscard]] Refusal LimitReached(std::string_view field, std::string_view limit, uint64_t value);
[[nodiscard]] Refusal AlreadyExists(std::string_view field, std::string_view value);
[[nodiscard]] Refusal MmExited(std::string_view field, std::string_view value);
/// Too much is going on; `limit` names what is full.
[[nodiscard]] Refusal Overloaded(std::string_view limit, uint64_t value);
/// A WorkerPool did not take a job: `limit` is full, or the host refuses another thread.
[[nodiscard]] Refusal NoThreadForIt(std::string_view limit, uint64_t value);
[[nodiscard]] Refusal Draining();

/// A T, or why there is none.
template <class T>
class [[nodiscard]] OrRefusal {
 public:
  // Implicit, so that `return value` and `return refusal` both read as what they are.
  OrRefusal(T value) : held_(std::in_place_index<0>, std::move(value)) {}            // NOLINT
  OrRefusal(Refusal refusal) : held_(std::in_place_index<1>, std::move(refusal)) {}  // NOLINT

  [[nodiscard]] bool ok() const { return held_.index() == 0; }
  /// ok().
  [[nodiscard]] T& operator*() & { return std::get<0>(held_); }
  [[nodiscard]] T&& operator*() && { return std::get<0>(std::move(held_)); }
  [[nodiscard]] T* operator->() { return &std::get<0>(held_); }
  /// !ok().
  [[nodiscard]] Refusal& refusal() { return std::get<1>(held_); }

 private:
  std::variant<T, Refusal> held_;
};

/// Nothing, or why not: what handlers return.
using MaybeRefusal = std::optional<Refusal>;

}  // namespace faultline::server
