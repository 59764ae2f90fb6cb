// SPDX-License-Identifier: Apache-2.0
//
// How an operation's end and its way down the ladder are packed into numbers (OperationResults of
// attach.proto): both directions, so that server and client cannot differ.
//
//   outcome   0 well; an Errno; signal + 256 * code; 65536 skipped
//   rungs     bit r - 1: it was on FaultRung r. Byte r: the LeaveReason for which it left rung r or
//             did not get onto it; 0: it ended there, or the scheme has no such rung
//
// All of it is plain numbers: unknown ones are kept, so that an old client shows what a new server
// sent.
#pragma once

#include <cstdint>

#include "faultline/v1/common.pb.h"

namespace faultline::columns {

/// How one operation ended. Which of error() and signal() means something is said by its kind
/// (KindTraits::outcome).
class Outcome {
 public:
  /// It went well.
  constexpr Outcome() = default;
  constexpr explicit Outcome(std::uint32_t packed) : packed_(packed) {}

  [[nodiscard]] static constexpr Outcome Error(v1::Errno error) {
    return Outcome(static_cast<std::uint32_t>(error));
  }
  /// `signal` and `code` are those of AccessResult, below 256.
  [[nodiscard]] static constexpr Outcome Access(std::uint32_t signal, std::uint32_t code) {
    return Outcome(signal + 256 * code);
  }
  /// What it was relative to failed.
  [[nodiscard]] static constexpr Outcome Skipped() { return Outcome(kSkipped); }

  [[nodiscard]] constexpr std::uint32_t packed() const { return packed_; }
  [[nodiscard]] constexpr bool ok() const { return packed_ == 0; }
  [[nodiscard]] constexpr bool skipped() const { return packed_ == kSkipped; }
  /// Of a system call or a wait that was not skipped; ERRNO_UNSPECIFIED if it went well.
  [[nodiscard]] constexpr v1::Errno error() const { return static_cast<v1::Errno>(packed_); }
  /// Of an access that was not skipped; 0 if it went well.
  [[nodiscard]] constexpr std::uint32_t signal() const { return packed_ % 256; }
  /// si_code, with a signal.
  [[nodiscard]] constexpr std::uint32_t code() const { return packed_ / 256; }

  friend constexpr bool operator==(Outcome, Outcome) = default;

 private:
  static constexpr std::uint32_t kSkipped = 65536;

  std::uint32_t packed_ = 0;
};

/// On which rungs a fault was and why it left them.
class Rungs {
 public:
  /// There was no fault.
  constexpr Rungs() = default;
  constexpr explicit Rungs(std::uint64_t packed) : packed_(packed) {}

  /// It was on `rung`, at least for a try.
  constexpr Rungs& On(v1::FaultRung rung) {
    packed_ |= std::uint64_t{1} << (static_cast<unsigned>(rung) - 1);
    return *this;
  }
  /// It left `rung`, or did not get onto it. Once for each rung.
  constexpr Rungs& Left(v1::FaultRung rung, v1::LeaveReason reason) {
    packed_ |= static_cast<std::uint64_t>(reason) << (8 * static_cast<unsigned>(rung));
    return *this;
  }

  [[nodiscard]] constexpr std::uint64_t packed() const { return packed_; }
  [[nodiscard]] constexpr bool any() const { return packed_ != 0; }
  [[nodiscard]] constexpr bool was_on(v1::FaultRung rung) const {
    return ((packed_ >> (static_cast<unsigned>(rung) - 1)) & 1) != 0;
  }
  /// LEAVE_REASON_UNSPECIFIED: see above, 0.
  [[nodiscard]] constexpr v1::LeaveReason left_for(v1::FaultRung rung) const {
    return static_cast<v1::LeaveReason>((packed_ >> (8 * static_cast<unsigned>(rung))) & 0xff);
  }

  friend constexpr bool operator==(Rungs, Rungs) = default;

 private:
  std::uint64_t packed_ = 0;
};

}  // namespace faultline::columns
