// SPDX-License-Identifier: Apache-2.0
//
// The values that a thread's operations are relative to, for whoever carries them out and knows
// each result before the next operation begins.
//
// A child of a fork has what its parent had, and changes to it are its own: forks are nested at
// most four deep, and so are the copies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "proto/workload/operation.h"

namespace faultline::workload {

class SlotValues {
 public:
  /// The address that `op` means; nothing if what it is relative to has failed.
  [[nodiscard]] std::optional<uint64_t> AddressOf(const Operation& op) const {
    if (op.base == Slot::kNone) return op.address;
    const Value& value = values_[depth_][static_cast<std::size_t>(op.base)];
    if (!value.known) return std::nullopt;
    return value.number + op.address;
  }
  /// `op` succeeded and gave `value`.
  void Succeeded(const Operation& op, uint64_t value) {
    values_[depth_][static_cast<std::size_t>(op.result)] = {.number = value, .known = true};
  }
  /// `op` failed.
  void Failed(const Operation& op) { values_[depth_][static_cast<std::size_t>(op.result)] = {}; }

  /// A fork succeeded.
  void EnterChild() {
    values_[depth_ + 1] = values_[depth_];
    ++depth_;
  }
  /// The child is through.
  void LeaveChild() { --depth_; }

 private:
  struct Value {
    uint64_t number = 0;
    bool known = false;
  };
  static constexpr std::size_t kSlots = 3;
  static constexpr std::size_t kMaxForks = 4;

  /// The first of each is that of Slot::kNone, which is written and never read.
  std::array<std::array<Value, kSlots>, kMaxForks + 1> values_{};
  std::size_t depth_ = 0;
};

}  // namespace faultline::workload
