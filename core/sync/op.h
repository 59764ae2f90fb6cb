// SPDX-License-Identifier: Apache-2.0
//
// The kinds of operation that a modelled execution schedules; the native build knows them only as
// the names that lock code gives to its atomic steps (atomic_step.h). A fiber announces its next
// operation at a scheduling point; the driver picks a fiber; that fiber's announced operation then
// executes as one step. Each kind has one letter, which is what a replay string records per choice,
// and one word, which is what reports and divergence messages print. Letters never change meaning:
// a new kind takes a new letter, a removed one retires its letter (the replay format is versioned).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

enum class OpKind : uint8_t {
  kLoad,
  kStore,
  kRmw,       ///< exchange, compare-exchange, fetch-and-op
  kSpinLock,  ///< eligible only while the spinlock is free
  kSpinUnlock,
  kLock,  ///< an attempt on a sleeping lock; may queue and park
  kUnlock,
  kTryLock,
  kDowngrade,
  kPark,  ///< eligible only once the fiber has been unparked
  kUnpark,
  kSpin,         ///< SpinUntil: eligible only while its condition holds
  kYield,        ///< voluntary: leaving the fiber here costs no preemption
  kRetire,       ///< hands an object to a grace period
  kGracePeriod,  ///< the callback fiber: eligible once a retired batch is ripe
  kSynchronize,  ///< waits for readers that began before
  kCount
};

inline constexpr int kOpKinds = static_cast<int>(OpKind::kCount);

struct OpKindInfo {
  char letter;
  std::string_view name;
};

inline constexpr std::array<OpKindInfo, kOpKinds> kOpKindTable{{
    {'l', "load"},
    {'s', "store"},
    {'r', "rmw"},
    {'K', "spin-lock"},
    {'k', "spin-unlock"},
    {'L', "lock"},
    {'U', "unlock"},
    {'T', "try-lock"},
    {'D', "downgrade"},
    {'P', "park"},
    {'W', "unpark"},
    {'S', "spin-until"},
    {'Y', "yield"},
    {'R', "retire"},
    {'G', "grace-period"},
    {'Z', "synchronize"},
}};

[[nodiscard]] constexpr std::string_view Name(OpKind kind) {
  return kOpKindTable[static_cast<size_t>(kind)].name;
}
[[nodiscard]] constexpr char Letter(OpKind kind) {
  return kOpKindTable[static_cast<size_t>(kind)].letter;
}
/// The kind with that letter, or nothing if the letter is not in use.
[[nodiscard]] constexpr std::optional<OpKind> OpKindFromLetter(char letter) {
  for (int i = 0; i < kOpKinds; ++i) {
    if (kOpKindTable[static_cast<size_t>(i)].letter == letter) return static_cast<OpKind>(i);
  }
  return std::nullopt;
}

}  // namespace faultline
