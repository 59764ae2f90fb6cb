// SPDX-License-Identifier: Apache-2.0
//
// Texts out of parts, for messages: Concat("line ", 7, ": ", name). Parts are strings of any type,
// whole numbers, and numbers as Hex.
//
// Why not absl::StrCat: Debian builds absl with a string_view of its own, which the standard's does
// not convert to.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace faultline::client {

/// Printed in lower-case hexadecimal, without prefix.
struct Hex {
  uint64_t value;
};

namespace concat_internal {

inline void AppendNumber(std::string& to, std::integral auto number, int base) {
  std::array<char, 24> digits{};
  const std::to_chars_result end =
      std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
  to.append(digits.data(), end.ptr);
}
inline void Append(std::string& to, const char* text) { to.append(text); }
inline void Append(std::string& to, char character) { to.push_back(character); }
inline void Append(std::string& to, Hex number) { AppendNumber(to, number.value, 16); }
inline void Append(std::string& to, std::integral auto number) { AppendNumber(to, number, 10); }
inline void Append(std::string& to, const auto& text)
  requires requires { text.data() + text.size(); }
{
  to.append(text.data(), text.size());
}

}  // namespace concat_internal

template <class... Parts>
[[nodiscard]] std::string Concat(const Parts&... parts) {
  std::string text;
  (concat_internal::Append(text, parts), ...);
  return text;
}

}  // namespace faultline::client
