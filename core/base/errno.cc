// SPDX-License-Identifier: Apache-2.0
//
// Names of the error numbers, and the proof that the numbers are those of the host's kernel.
//
// Both directions walk one small table: names are for reports, replies and command lines, never for
// a hot path.
//
// Linux analogue: lib/errname.c.
// Invariant: one row per enumerator of Errno, guaranteed by the one macro table behind both.

#include "core/base/errno.h"

#include <cerrno>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

struct Row {
  Errno error;
  std::string_view name;
};

constexpr Row kRows[] = {
#define FAULTLINE_ROW(enumerator, name, number) {Errno::enumerator, #name},
    FAULTLINE_ERRNO_TABLE(FAULTLINE_ROW)
#undef FAULTLINE_ROW
};

// `name` is the host's macro here.
#define FAULTLINE_MATCHES_HOST(enumerator, name, number) static_assert(number == name);
FAULTLINE_ERRNO_TABLE(FAULTLINE_MATCHES_HOST)
#undef FAULTLINE_MATCHES_HOST

}  // namespace

std::string_view Name(Errno error) noexcept {
  for (const Row& row : kRows) {
    if (row.error == error) return row.name;
  }
  return "E?";
}

std::optional<Errno> ErrnoFromName(std::string_view name) noexcept {
  for (const Row& row : kRows) {
    if (row.name == name) return row.error;
  }
  return std::nullopt;
}

}  // namespace faultline
