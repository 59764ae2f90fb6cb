// SPDX-License-Identifier: Apache-2.0
//
// MM_CHECK and its family: impossible states end the run, possible ones return an Errno.
//
// MM_CHECK runs in every build; MM_DCHECK runs where kDebugChecks says so and is otherwise compiled
// but never evaluated, so that it cannot rot. The comparing forms print both values and compare
// integers by value, whatever their signs (std::cmp_equal). Arguments are evaluated once. A failure
// calls the installed CheckHandler, then prints to stderr and aborts. Nothing here allocates or
// locks, so a check may fail under any lock.
//
// Linux analogue: BUG_ON and VM_BUG_ON; VM_WARN_ON has none, a broken invariant is never survived.
// Invariant: CheckFailed never returns.

#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Called first by a failing check with the full one-line message, which dies with the call.
/// It may end the current schedule and never return (the explorer), or return to let the process
/// abort. It runs wherever the check failed, under any lock, and must not fail a check itself.
using CheckHandler = void (*)(const char* message);

/// Installs `handler` (null: none) and returns the one before. The handler is the only mutable
/// state of this layer that a whole process shares, one per flavour. It is an unsynchronised
/// pointer: install it while no other thread can fail a check.
CheckHandler SetCheckHandler(CheckHandler handler) noexcept;

/// Reports a failed MM_CHECK: handler, stderr, abort.
[[noreturn]] FAULTLINE_COLD void CheckFailed(const char* file, int line, const char* expr);

/// Reports a reached MM_UNREACHABLE: as CheckFailed, with `message` for the reason.
[[noreturn]] FAULTLINE_COLD void UnreachableReached(const char* file, int line,
                                                    const char* message);

namespace check_internal {

/// One operand of a comparison, reduced to what a message can print.
struct Operand {
  enum class Kind : std::uint8_t { kSigned, kUnsigned, kBool, kPointer, kOpaque };
  Kind kind;
  std::uint64_t bits;
};

/// Reports a failed comparison with both values: as CheckFailed.
[[noreturn]] FAULTLINE_COLD void ComparisonFailed(const char* file, int line, const char* expr,
                                                  Operand left, Operand right);

/// A strong type: prints as its value().
template <class T>
concept HasIntegralValue = requires(const T& t) {
  { t.value() } -> std::integral;
};

/// An integer that std::cmp_equal accepts: neither bool nor a character type.
template <class T>
concept PlainInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                       !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                       !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <class T>
Operand ToOperand(const T& value) noexcept {
  using Kind = Operand::Kind;
  if constexpr (std::same_as<T, bool>) {
    return {Kind::kBool, value ? 1U : 0U};
  } else if constexpr (std::signed_integral<T>) {
    return {Kind::kSigned, static_cast<std::uint64_t>(static_cast<std::int64_t>(value))};
  } else if constexpr (std::integral<T>) {
    return {Kind::kUnsigned, static_cast<std::uint64_t>(value)};
  } else if constexpr (std::is_enum_v<T>) {
    return ToOperand(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::is_pointer_v<T>) {
    return {Kind::kPointer, static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(value))};
  } else if constexpr (std::is_null_pointer_v<T>) {
    return {Kind::kPointer, 0};
  } else if constexpr (HasIntegralValue<T>) {
    return ToOperand(value.value());
  } else {
    return {Kind::kOpaque, 0};
  }
}

// One function object per operator: std::cmp_* for two plain integers, the operator otherwise.
#define FAULTLINE_DEFINE_COMPARE(Name, op, integer_compare)            \
  struct Name {                                                        \
    template <class A, class B>                                        \
    constexpr bool operator()(const A& a, const B& b) const noexcept { \
      if constexpr (PlainInteger<A> && PlainInteger<B>) {              \
        return integer_compare(a, b);                                  \
      } else {                                                         \
        return a op b;                                                 \
      }                                                                \
    }                                                                  \
  };
FAULTLINE_DEFINE_COMPARE(Equal, ==, std::cmp_equal)
FAULTLINE_DEFINE_COMPARE(NotEqual, !=, std::cmp_not_equal)
FAULTLINE_DEFINE_COMPARE(Less, <, std::cmp_less)
FAULTLINE_DEFINE_COMPARE(LessEqual, <=, std::cmp_less_equal)
FAULTLINE_DEFINE_COMPARE(Greater, >, std::cmp_greater)
FAULTLINE_DEFINE_COMPARE(GreaterEqual, >=, std::cmp_greater_equal)
#undef FAULTLINE_DEFINE_COMPARE

template <class Compare, class A, class B>
FAULTLINE_ALWAYS_INLINE constexpr void CheckCompare(const A& a, const B& b, const char* file,
                                                    int line, const char* expr) {
  if (!Compare{}(a, b)) [[unlikely]] {
    ComparisonFailed(file, line, expr, ToOperand(a), ToOperand(b));
  }
}

}  // namespace check_internal
}  // namespace faultline

/// Ends the run unless the condition holds, in every build.
#define MM_CHECK(...)                                             \
  do {                                                            \
    if (!(__VA_ARGS__)) [[unlikely]] {                            \
      ::faultline::CheckFailed(__FILE__, __LINE__, #__VA_ARGS__); \
    }                                                             \
  } while (false)

#define MM_CHECK_COMPARE_(Name, op, a, b)                                       \
  ::faultline::check_internal::CheckCompare<::faultline::check_internal::Name>( \
      a, b, __FILE__, __LINE__, #a " " #op " " #b)

/// End the run, printing both values, unless the comparison holds; in every build.
#define MM_CHECK_EQ(a, b) MM_CHECK_COMPARE_(Equal, ==, a, b)
#define MM_CHECK_NE(a, b) MM_CHECK_COMPARE_(NotEqual, !=, a, b)
#define MM_CHECK_LT(a, b) MM_CHECK_COMPARE_(Less, <, a, b)
#define MM_CHECK_LE(a, b) MM_CHECK_COMPARE_(LessEqual, <=, a, b)
#define MM_CHECK_GT(a, b) MM_CHECK_COMPARE_(Greater, >, a, b)
#define MM_CHECK_GE(a, b) MM_CHECK_COMPARE_(GreaterEqual, >=, a, b)

#define MM_DCHECK_ONLY_(statement)             \
  do {                                         \
    if constexpr (::faultline::kDebugChecks) { \
      statement;                               \
    }                                          \
  } while (false)

/// The same where kDebugChecks; elsewhere compiled, not evaluated.
#define MM_DCHECK(...) MM_DCHECK_ONLY_(MM_CHECK(__VA_ARGS__))
#define MM_DCHECK_EQ(a, b) MM_DCHECK_ONLY_(MM_CHECK_EQ(a, b))
#define MM_DCHECK_NE(a, b) MM_DCHECK_ONLY_(MM_CHECK_NE(a, b))
#define MM_DCHECK_LT(a, b) MM_DCHECK_ONLY_(MM_CHECK_LT(a, b))
#define MM_DCHECK_LE(a, b) MM_DCHECK_ONLY_(MM_CHECK_LE(a, b))
#define MM_DCHECK_GT(a, b) MM_DCHECK_ONLY_(MM_CHECK_GT(a, b))
#define MM_DCHECK_GE(a, b) MM_DCHECK_ONLY_(MM_CHECK_GE(a, b))

/// Ends the run: control cannot come here. `message` (a C string) says why it could not.
#define MM_UNREACHABLE(message) ::faultline::UnreachableReached(__FILE__, __LINE__, message)
