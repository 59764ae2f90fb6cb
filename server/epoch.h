// SPDX-License-Identifier: Apache-2.0
//
// Which instance of the server this is: 64 random bits, drawn at its start, that stand in every
// reply. The numbers that the server gives (mms, files) contain a tag of it, so that a name from
// before a restart is known for one and not mistaken for another thing (common.proto).
//
// A number is 20 bits of tag above 32 bits of a sequence, and so below 2^53: exact in a double,
// which is what JSON has.
#pragma once

#include <cstdint>
#include <random>

namespace faultline::server {

class Epoch {
 public:
  explicit Epoch(uint64_t value) : value_(value) {}
  [[nodiscard]] static Epoch Random() {
    std::random_device device;
    return Epoch((uint64_t{device()} << 32) | device());
  }

  [[nodiscard]] uint64_t value() const { return value_; }
  /// The number that stands for the `sequence`th thing.
  [[nodiscard]] uint64_t NumberOf(uint32_t sequence) const {
    return (Tag() << kSequenceBits) | sequence;
  }
  /// Whether this instance may have given that number.
  [[nodiscard]] bool Gave(uint64_t number) const { return number >> kSequenceBits == Tag(); }

 private:
  static constexpr unsigned kSequenceBits = 32;
  static constexpr unsigned kTagBits = 20;

  [[nodiscard]] uint64_t Tag() const { return value_ >> (64 - kTagBits); }

  uint64_t value_;
};

}  // namespace faultline::server
