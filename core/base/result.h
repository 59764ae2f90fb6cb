// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a value, or the exact Errno that says why there is none.
//
// What every operation of the core returns that can fail; there are no exceptions. It is converted
// from a T or an Errno without ceremony, and asking for the half that it does not hold is a failed
// check. It is trivially copyable when T is, so that for example Result<VirtAddr> travels in two
// registers.
//
// Linux analogue: ERR_PTR, IS_ERR and negative returns, with the type telling them apart.
// Invariant: holds exactly one of the two; Result<void> is the size of an int.

#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/errno.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

namespace result_internal {

/// Storage for a T that is copied as bytes. Not std::variant: its one-byte index next to a wider
/// value makes compilers return it through memory, byte store before word load.
template <class T>
class PlainStorage {
 public:
  template <class U>
  constexpr PlainStorage(std::in_place_t, U&& value) : value_(std::forward<U>(value)) {}
  constexpr explicit PlainStorage(Errno error) noexcept : none_(), error_(error) {}

  [[nodiscard]] constexpr bool ok() const noexcept { return error_ == Errno{}; }
  [[nodiscard]] constexpr Errno error() const noexcept { return error_; }
  [[nodiscard]] constexpr T& value() noexcept { return value_; }
  [[nodiscard]] constexpr const T& value() const noexcept { return value_; }

 private:
  struct None {};
  union {
    T value_;    // When error_ is 0.
    None none_;  // Otherwise.
  };
  Errno error_{};  // 0, which no enumerator has: success.
};

/// Storage for any other T.
template <class T>
class VariantStorage {
 public:
  template <class U>
  constexpr VariantStorage(std::in_place_t, U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  constexpr explicit VariantStorage(Errno error) noexcept : state_(std::in_place_index<1>, error) {}

  [[nodiscard]] constexpr bool ok() const noexcept { return state_.index() == 0; }
  [[nodiscard]] constexpr Errno error() const noexcept { return *std::get_if<1>(&state_); }
  [[nodiscard]] constexpr T& value() noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] constexpr const T& value() const noexcept { return *std::get_if<0>(&state_); }

 private:
  std::variant<T, Errno> state_;
};

template <class T>
using Storage =
    std::conditional_t<std::is_trivially_copyable_v<T>, PlainStorage<T>, VariantStorage<T>>;

}  // namespace result_internal

/// A T or an Errno. T may be move-only; it is neither a reference nor an Errno.
template <class T>
class [[nodiscard]] Result {
  static_assert(std::is_object_v<T> && !std::same_as<std::remove_cv_t<T>, Errno>);

 public:
  using value_type = T;

  /// A success that holds `value`, or whatever T is implicitly built from.
  template <class U = T>
    requires std::convertible_to<U&&, T> && (!std::same_as<std::remove_cvref_t<U>, Result>) &&
             (!std::same_as<std::remove_cvref_t<U>, Errno>)
  constexpr explicit(false) Result(U&& value) noexcept(std::is_nothrow_constructible_v<T, U&&>)
      : storage_(std::in_place, std::forward<U>(value)) {}

  /// A failure; not Errno(0).
  constexpr explicit(false) Result(Errno error) : storage_(error) { MM_DCHECK(error != Errno{}); }

  /// True when it holds a value.
  [[nodiscard]] constexpr bool ok() const noexcept { return storage_.ok(); }

  /// Why there is no value. Checked: !ok().
  [[nodiscard]] constexpr Errno error() const {
    MM_CHECK(!ok());
    return storage_.error();
  }

  /// The value. Checked: ok(). From an rvalue it is moved out, leaving a moved-from value inside.
  [[nodiscard]] constexpr T& value() & { return Checked(); }
  [[nodiscard]] constexpr const T& value() const& { return Checked(); }
  [[nodiscard]] constexpr T&& value() && { return std::move(Checked()); }

  /// The same as value().
  [[nodiscard]] constexpr T& operator*() & { return value(); }
  [[nodiscard]] constexpr const T& operator*() const& { return value(); }
  [[nodiscard]] constexpr T&& operator*() && { return std::move(*this).value(); }

  /// A member of the value. Checked: ok().
  [[nodiscard]] constexpr T* operator->() { return &Checked(); }
  [[nodiscard]] constexpr const T* operator->() const { return &Checked(); }

  /// The value, or `fallback` when there is none.
  template <class U>
  [[nodiscard]] constexpr T value_or(U&& fallback) const& {
    return ok() ? **this : static_cast<T>(std::forward<U>(fallback));
  }
  template <class U>
  [[nodiscard]] constexpr T value_or(U&& fallback) && {
    return ok() ? *std::move(*this) : static_cast<T>(std::forward<U>(fallback));
  }

  /// Equal when both hold equal values or both the same error.
  [[nodiscard]] friend constexpr bool operator==(const Result& a, const Result& b)
    requires std::equality_comparable<T>
  {
    if (a.ok() && b.ok()) return a.storage_.value() == b.storage_.value();
    return a.ok() == b.ok() && a.storage_.error() == b.storage_.error();
  }

 private:
  [[nodiscard]] constexpr T& Checked() {
    MM_CHECK(ok());
    return storage_.value();
  }
  [[nodiscard]] constexpr const T& Checked() const {
    MM_CHECK(ok());
    return storage_.value();
  }

  result_internal::Storage<T> storage_;
};

/// Success without a value, or an Errno.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  /// A success; Ok() says the same in words.
  constexpr Result() noexcept = default;

  /// A failure; not Errno(0).
  constexpr explicit(false) Result(Errno error) : error_(error) { MM_DCHECK(error != Errno{}); }

  /// True on success.
  [[nodiscard]] constexpr bool ok() const noexcept { return error_ == Errno{}; }

  /// Why it failed. Checked: !ok().
  [[nodiscard]] constexpr Errno error() const {
    MM_CHECK(!ok());
    return error_;
  }

  /// Nothing, checked: ok(). For generic code.
  constexpr void value() const { MM_CHECK(ok()); }

  /// Equal when both succeeded or both failed with the same error.
  [[nodiscard]] friend constexpr bool operator==(Result, Result) noexcept = default;

 private:
  Errno error_{};  // 0, which no enumerator has: success.
};

/// A success without a value: `return Ok();`.
[[nodiscard]] constexpr Result<void> Ok() noexcept { return {}; }

}  // namespace faultline

#define MM_CONCAT_INNER_(a, b) a##b
#define MM_CONCAT_(a, b) MM_CONCAT_INNER_(a, b)

/// Evaluates an expression that yields a Result; on failure returns its Errno from the function.
#define MM_TRY(...)                                                                    \
  do {                                                                                 \
    if (const auto& mm_try_result = (__VA_ARGS__); !mm_try_result.ok()) [[unlikely]] { \
      return mm_try_result.error();                                                    \
    }                                                                                  \
  } while (false)

/// The same, and on success moves the value into `lhs`, which may declare a variable:
/// `MM_ASSIGN_OR_RETURN(const VirtAddr addr, FindGap(length));`. Two statements: needs a block.
#define MM_ASSIGN_OR_RETURN(lhs, ...) \
  MM_ASSIGN_OR_RETURN_(MM_CONCAT_(mm_result_, __COUNTER__), lhs, (__VA_ARGS__))
#define MM_ASSIGN_OR_RETURN_(result, lhs, expr) \
  auto result = expr;                           \
  if (!result.ok()) [[unlikely]] {              \
    return result.error();                      \
  }                                             \
  lhs = *std::move(result)
