// SPDX-License-Identifier: Apache-2.0
//
// StrongInt<Tag, Rep>: an integer that cannot be mistaken for another kind of integer.
//
// Addresses, page numbers and ids are all 64 or 32 bits wide; giving each its own type makes mixing
// them a compile error. What is allowed is what makes sense for a position: compare, step, move by
// a distance (a plain Rep), and take the distance of two. Nothing else: no multiplication, no
// implicit conversion in or out. Arithmetic wraps as Rep's does; whoever may overflow checks first.
//
// Linux analogue: swp_entry_t, vm_fault_t, pgd_t: structs around a word for the same reason.
// Invariant: same size, layout and calling convention as Rep.

#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <utility>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A distinct unsigned integer type per Tag (an incomplete struct will do).
template <class Tag, std::unsigned_integral Rep>
class StrongInt {
 public:
  using rep = Rep;

  /// Zero.
  constexpr StrongInt() noexcept = default;
  /// Explicit on purpose: the one way in. Only from Rep itself or a type that Rep can hold.
  constexpr explicit StrongInt(Rep value) noexcept : value_(value) {}

  /// The one way out.
  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }

  /// The greatest value.
  [[nodiscard]] static constexpr StrongInt Max() noexcept {
    return StrongInt(static_cast<Rep>(~Rep{0}));
  }

  [[nodiscard]] friend constexpr auto operator<=>(StrongInt, StrongInt) noexcept = default;

  constexpr StrongInt& operator++() noexcept { return *this += 1; }
  constexpr StrongInt& operator--() noexcept { return *this -= 1; }
  constexpr StrongInt operator++(int) noexcept { return std::exchange(*this, *this + 1); }
  constexpr StrongInt operator--(int) noexcept { return std::exchange(*this, *this - 1); }

  constexpr StrongInt& operator+=(Rep distance) noexcept {
    value_ = static_cast<Rep>(value_ + distance);
    return *this;
  }
  constexpr StrongInt& operator-=(Rep distance) noexcept {
    value_ = static_cast<Rep>(value_ - distance);
    return *this;
  }

  [[nodiscard]] friend constexpr StrongInt operator+(StrongInt a, Rep distance) noexcept {
    return a += distance;
  }
  [[nodiscard]] friend constexpr StrongInt operator-(StrongInt a, Rep distance) noexcept {
    return a -= distance;
  }
  /// The distance from `b` up to `a`.
  [[nodiscard]] friend constexpr Rep operator-(StrongInt a, StrongInt b) noexcept {
    return static_cast<Rep>(a.value_ - b.value_);
  }

  /// Lets absl's hash containers take it as a key.
  template <class H>
  friend H AbslHashValue(H state, StrongInt a) {
    return H::combine(std::move(state), a.value_);
  }

 private:
  Rep value_ = 0;
};

}  // namespace faultline

/// Lets the standard hash containers take it as a key.
template <class Tag, class Rep>
struct std::hash<faultline::StrongInt<Tag, Rep>> {
  [[nodiscard]] std::size_t operator()(faultline::StrongInt<Tag, Rep> a) const noexcept {
    return std::hash<Rep>{}(a.value());
  }
};
