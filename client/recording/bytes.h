// SPDX-License-Identifier: Apache-2.0
//
// Numbers and strings as bytes: what the file format is made of. A number is a varint of at most
// ten bytes, seven bits in each, the lowest first; one that may be negative, or a difference, is
// zigzag-coded before; a string is its length and its bytes.
//
// Invariant of the reader: it never goes beyond its bytes. The first read that would makes it not
// ok(), and it then gives 0 and empty strings for ever, so a decoder may ask once, at its end. No
// length that was read is believed before it was compared with what is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace faultline::client {

[[nodiscard]] constexpr uint64_t Zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
[[nodiscard]] constexpr int64_t Unzigzag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

class ByteWriter {
 public:
  void Number(uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
  }
  /// `value` as its difference from `before`, whichever is larger.
  void Difference(uint64_t value, uint64_t before) {
    Number(Zigzag(static_cast<int64_t>(value - before)));
  }
  void String(std::string_view text) {
    Number(text.size());
    bytes_.append(text);
  }
  void Bytes(std::string_view bytes) { bytes_.append(bytes); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      // The tenth byte has room for one bit: a longer number is none.
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return Fail();
  }
  /// A number up to `max`; a larger one is a failure.
  [[nodiscard]] uint64_t NumberUpTo(uint64_t max) {
    const uint64_t value = Number();
    return value <= max ? value : Fail();
  }
  [[nodiscard]] uint32_t Number32() { return static_cast<uint32_t>(NumberUpTo(UINT32_MAX)); }
  [[nodiscard]] uint64_t Difference(uint64_t before) {
    return before + static_cast<uint64_t>(Unzigzag(Number()));
  }
  /// Points into the bytes.
  [[nodiscard]] std::string_view String() { return Bytes(Number()); }
  [[nodiscard]] std::string_view Bytes(uint64_t size) {
    if (size > left()) {
      Fail();
      return {};
    }
    const std::string_view bytes = bytes_.substr(at_, static_cast<std::size_t>(size));
    at_ += bytes.size();
    return bytes;
  }
  /// How many elements follow, each of at least one byte: never more than there are bytes left.
  [[nodiscard]] uint64_t Count() { return NumberUpTo(left()); }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  uint64_t Fail() {
    ok_ = false;
    at_ = bytes_.size();
    return 0;
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace faultline::client
