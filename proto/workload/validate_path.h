// SPDX-License-Identifier: Apache-2.0
//
// The path of the field that is being looked at, and the problems that are reported there; used by
// validate.cc alone.
//
// A path is a chain of pieces on the stack, and becomes a text only for a problem. So a workload
// with ten thousand steps is checked without making a text for each of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "faultline/v1/error.pb.h"
#include "proto/columns/error_detail.h"

namespace faultline::workload {

class Path {
 public:
  explicit Path(std::string_view root) : name_(root) {}

  /// A field of this, or one element of a repeated field. The parent outlives it.
  [[nodiscard]] Path operator/(std::string_view field) const { return {*this, field, -1}; }
  [[nodiscard]] Path At(std::string_view field, int index) const { return {*this, field, index}; }

  [[nodiscard]] std::string Text() const {
    std::string text = parent_ == nullptr ? std::string() : parent_->Text() + ".";
    text += name_;
    if (index_ >= 0) text += "[" + std::to_string(index_) + "]";
    return text;
  }

  [[nodiscard]] v1::ErrorDetail OutOfRange(std::string_view value, std::string_view allowed) const {
    return columns::MakeProblem(v1::ERROR_REASON_OUT_OF_RANGE,
                                {.field = Text(), .value = value, .allowed = allowed});
  }
  [[nodiscard]] v1::ErrorDetail OutOfRange(uint64_t value, std::string_view allowed) const {
    return OutOfRange(std::to_string(value), allowed);
  }
  [[nodiscard]] v1::ErrorDetail Missing(std::string_view allowed) const {
    return columns::MakeProblem(v1::ERROR_REASON_MISSING_FIELD,
                                {.field = Text(), .value = "", .allowed = allowed});
  }
  [[nodiscard]] v1::ErrorDetail UnknownEnumValue(int value, std::string_view enum_name) const {
    return columns::MakeProblem(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE,
                                {.field = Text(),
                                 .value = std::to_string(value),
                                 .allowed = "a number of " + std::string(enum_name)});
  }

 private:
  Path(const Path& parent, std::string_view name, int index)
      : parent_(&parent), name_(name), index_(index) {}

  const Path* parent_ = nullptr;
  std::string_view name_;
  int index_ = -1;
};

}  // namespace faultline::workload
