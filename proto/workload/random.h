// SPDX-License-Identifier: Apache-2.0
//
// Random numbers of one thread of a workload, and a random order of pages that needs no list.
//
// Everything depends on the seed that it was made from and on how often it was asked, on nothing
// else, so that a run can be repeated (workload.proto). The generator is SplitMix64: a counter and
// a mixing function, good enough for orders of pages and as cheap as can be; it splits into further
// generators, so that what one step draws does not depend on whether another was carried out.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>

namespace faultline::workload {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed)) {}
  /// For one thread of one actor. `purpose` keeps users within a thread apart.
  Random(uint64_t seed, uint32_t actor, uint32_t thread, uint32_t purpose) : state_(Mix(seed)) {
    for (const uint64_t part : {actor, thread, purpose}) state_ = Mix(Next() + part);
  }

  uint64_t Next() {
    state_ += kStep;
    return Mix(state_);
  }
  /// Evenly from 0 to `bound` - 1; `bound` is 1 to 2^32.
  uint64_t Below(uint64_t bound) { return ((Next() >> 32) * bound) >> 32; }
  /// From an exponential distribution with that mean; less than 45 times the mean.
  double Exponential(double mean) {
    const double at_most_one = static_cast<double>((Next() >> 11) + 1) * 0x1p-53;
    return -mean * std::log(at_most_one);
  }
  /// A generator of its own, at the price of one number of this one.
  Random Split() { return Random(Next()); }

 private:
  static constexpr uint64_t kStep = 0x9e37'79b9'7f4a'7c15;

  static constexpr uint64_t Mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
    return x ^ (x >> 31);
  }

  uint64_t state_;
};

/// The numbers 0 to n - 1 in a random order: At(0) to At(n - 1) are each of them once.
///
/// A function that mixes numbers of as few bits as hold n, and can be undone, is an order of all
/// these; numbers that are too large are sent through it again until one fits.
class Permutation {
 public:
  Permutation() = default;
  /// `size` is 1 to 2^32.
  Permutation(uint64_t size, Random& random)
      : size_(size),
        bits_(static_cast<unsigned>(std::bit_width(size - 1))),
        mask_((uint64_t{1} << bits_) - 1),
        shift_(bits_ < 2 ? 1 : (bits_ + 1) / 2),
        keys_{random.Next(), random.Next(), random.Next()} {}

  [[nodiscard]] uint64_t At(uint64_t index) const {
    uint64_t x = index;
    do {
      x = Mixed(x);
    } while (x >= size_);
    return x;
  }

 private:
  [[nodiscard]] uint64_t Mixed(uint64_t x) const {
    for (const uint64_t key : keys_) {
      x = (x * (key | 1) + (key >> 32)) & mask_;
      x ^= x >> shift_;
    }
    return x;
  }

  uint64_t size_ = 1;
  unsigned bits_ = 0;
  uint64_t mask_ = 0;
  /// Half of the bits.
  unsigned shift_ = 1;
  uint64_t keys_[3]{};
};

}  // namespace faultline::workload
