// SPDX-License-Identifier: Apache-2.0
//
// Takes a line of text apart from its left end. Each function takes what it names and says whether
// it was there; if not, nothing was taken. So a line's shape is one condition: a && b && c.
//
// Numbers that do not fit 64 bits are not there.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>

namespace faultline::client {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

  bool Literal(std::string_view literal) {
    if (!rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    return true;
  }
  /// Any number of spaces, none included.
  bool Spaces() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    return true;
  }
  bool Decimal(uint64_t& number) { return Number(number, 10); }
  bool Decimal32(uint32_t& number) { return Narrow(number, 10); }
  /// Without prefix.
  bool Hexadecimal(uint64_t& number) { return Number(number, 16); }
  bool Hexadecimal32(uint32_t& number) { return Narrow(number, 16); }
  /// Hexadecimal with 0x, octal with a leading 0, or decimal; a minus means modulo 2^64.
  bool AnyNumber(uint64_t& number) {
    const std::string_view before = rest_;
    const bool negative = Literal("-");
    const bool hexadecimal = Literal("0x");
    const bool octal = !hexadecimal && rest_.size() > 1 && rest_[0] == '0' && IsDigit(rest_[1]);
    if (!Number(number, hexadecimal ? 16 : octal ? 8 : 10)) {
      rest_ = before;
      return false;
    }
    if (negative) number = ~number + 1;
    return true;
  }
  /// Seconds with up to nine decimals, in nanoseconds.
  bool Seconds(uint64_t& nanoseconds) {
    Scanner ahead = *this;
    uint64_t seconds = 0;
    if (!ahead.Decimal(seconds) || !ahead.Literal(".")) return false;
    uint64_t fraction = 0;
    const std::size_t digits = ahead.rest_.size();
    if (!ahead.Decimal(fraction)) return false;
    std::size_t taken = digits - ahead.rest_.size();
    if (taken > 9 || seconds > UINT64_MAX / 1'000'000'000 - 1) return false;
    for (; taken < 9; ++taken) fraction *= 10;
    nanoseconds = seconds * 1'000'000'000 + fraction;
    *this = ahead;
    return true;
  }
  /// Everything up to `end`, which is taken, too.
  bool Until(std::string_view end, std::string_view& text) {
    const std::size_t at = rest_.find(end);
    if (at == std::string_view::npos) return false;
    text = rest_.substr(0, at);
    rest_.remove_prefix(at + end.size());
    return true;
  }
  /// Letters, digits and underscores: at least one.
  bool Word(std::string_view& word) {
    std::size_t size = 0;
    while (size < rest_.size() && IsWordPart(rest_[size])) ++size;
    if (size == 0) return false;
    word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  [[nodiscard]] static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

 private:
  [[nodiscard]] static bool IsWordPart(char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  bool Number(uint64_t& number, int base) {
    const char* const begin = std::to_address(rest_.begin());
    const std::from_chars_result result =
        std::from_chars(begin, begin + rest_.size(), number, base);
    if (result.ec != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(result.ptr - begin));
    return true;
  }
  bool Narrow(uint32_t& number, int base) {
    const std::string_view before = rest_;
    uint64_t wide = 0;
    if (!Number(wide, base) || wide > UINT32_MAX) {
      rest_ = before;
      return false;
    }
    number = static_cast<uint32_t>(wide);
    return true;
  }

  std::string_view rest_;
};

}  // namespace faultline::client
