// SPDX-License-Identifier: Apache-2.0
//
// What there is to know about each kind of operation: how many arguments it takes from the column
// `arguments`, whether it gives a value, and whether its outcome is a signal or an error number.
//
// The one table of this in C++; the comments of OperationKind in attach.proto are its source, and a
// test sees to it that every kind is here. Builder, check and readers ask it and know no kinds by
// themselves, so that a new kind is a line here, an adder, and a case where it is carried out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "faultline/v1/attach.pb.h"

namespace faultline::columns {

/// What a kind's outcome is.
enum class OutcomeKind : std::uint8_t {
  kNone,    ///< there is no such kind
  kErrno,   ///< the number of an Errno
  kAccess,  ///< signal + 256 * code
};

/// What a kind takes and gives.
struct KindTraits {
  OutcomeKind outcome = OutcomeKind::kNone;
  /// How many elements of the column `arguments` one operation takes.
  std::uint8_t arguments = 0;
  /// Later operations of the batch may be relative to it.
  bool gives_value = false;

  /// There is such a kind, and it may be sent.
  [[nodiscard]] constexpr bool known() const { return outcome != OutcomeKind::kNone; }
  [[nodiscard]] constexpr bool is_access() const { return outcome == OutcomeKind::kAccess; }
};

/// One more than the greatest number of a kind.
inline constexpr std::size_t kKinds = v1::OperationKind_ARRAYSIZE;

/// Arguments of the kind that takes most: Mmap.
inline constexpr std::size_t kMaxArguments = 5;

namespace internal {

consteval std::array<KindTraits, kKinds> MakeKindTable() {
  using enum OutcomeKind;
  std::array<KindTraits, kKinds> table{};
  table[v1::OPERATION_KIND_FAULT_READ] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_FAULT_WRITE] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_FAULT_EXEC] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_FAULT_READ_KERNEL] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_FAULT_WRITE_KERNEL] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_TOUCH_READ] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_TOUCH_WRITE] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_TOUCH_EXEC] = {.outcome = kAccess};
  table[v1::OPERATION_KIND_LOAD] = {.outcome = kAccess, .gives_value = true};
  table[v1::OPERATION_KIND_STORE] = {.outcome = kAccess, .arguments = 1};
  table[v1::OPERATION_KIND_TOUCH_RANGE_READ] = {.outcome = kAccess, .gives_value = true};
  table[v1::OPERATION_KIND_TOUCH_RANGE_WRITE] = {.outcome = kAccess, .gives_value = true};
  table[v1::OPERATION_KIND_MMAP] = {
      .outcome = kErrno, .arguments = kMaxArguments, .gives_value = true};
  table[v1::OPERATION_KIND_MUNMAP] = {.outcome = kErrno};
  table[v1::OPERATION_KIND_MPROTECT] = {.outcome = kErrno, .arguments = 1};
  table[v1::OPERATION_KIND_MREMAP] = {.outcome = kErrno, .arguments = 3, .gives_value = true};
  table[v1::OPERATION_KIND_MADVISE] = {.outcome = kErrno, .arguments = 1};
  table[v1::OPERATION_KIND_MSEAL] = {.outcome = kErrno, .arguments = 1};
  table[v1::OPERATION_KIND_BRK] = {.outcome = kErrno, .gives_value = true};
  table[v1::OPERATION_KIND_MLOCK] = {.outcome = kErrno, .arguments = 1};
  table[v1::OPERATION_KIND_MUNLOCK] = {.outcome = kErrno};
  table[v1::OPERATION_KIND_MLOCKALL] = {.outcome = kErrno, .arguments = 1};
  table[v1::OPERATION_KIND_MUNLOCKALL] = {.outcome = kErrno};
  table[v1::OPERATION_KIND_FORK] = {.outcome = kErrno, .gives_value = true};
  table[v1::OPERATION_KIND_EXIT] = {.outcome = kErrno};
  table[v1::OPERATION_KIND_WAIT_PROGRESS] = {.outcome = kErrno, .arguments = 1};
  table[v1::OPERATION_KIND_WAIT_CLOCK] = {.outcome = kErrno, .gives_value = true};
  table[v1::OPERATION_KIND_PAUSE] = {.outcome = kErrno};
  return table;
}

inline constexpr std::array<KindTraits, kKinds> kKindTable = MakeKindTable();

}  // namespace internal

/// What there is to know about a kind, for any number that came in; `known()` is false for those
/// that are no kind and for UNSPECIFIED.
[[nodiscard]] constexpr KindTraits TraitsOf(int kind) {
  // As unsigned, negative numbers are far above the table, too.
  const auto index = static_cast<std::size_t>(static_cast<unsigned>(kind));
  return index < kKinds ? internal::kKindTable[index] : KindTraits{};
}

}  // namespace faultline::columns
