// SPDX-License-Identifier: Apache-2.0
//
// Errno: the exact error numbers of Linux, as a type.
//
// Operations of the core fail with the number that the kernel would give, since the oracle compares
// the two and a coarser code cannot tell EINVAL from EFAULT. Fault outcomes (retry, fall back, done
// without a page) are not errors and have a type of their own in core/fault.
//
// Linux analogue: include/uapi/asm-generic/errno-base.h and errno.h.
// Invariant: the numbers are Linux's on every host; errno.cc compares them with <cerrno>.
// No enumerator is 0; Result<void> relies on that.

#pragma once

#include <optional>
#include <string_view>

#include "core/base/build.h"

/// Every error number of the core, once: enumerator, Linux's name, Linux's number.
#define FAULTLINE_ERRNO_TABLE(X) \
  X(kEperm, EPERM, 1)            \
  X(kEnoent, ENOENT, 2)          \
  X(kEsrch, ESRCH, 3)            \
  X(kEintr, EINTR, 4)            \
  X(kEio, EIO, 5)                \
  X(kEnxio, ENXIO, 6)            \
  X(kE2big, E2BIG, 7)            \
  X(kEbadf, EBADF, 9)            \
  X(kEagain, EAGAIN, 11)         \
  X(kEnomem, ENOMEM, 12)         \
  X(kEacces, EACCES, 13)         \
  X(kEfault, EFAULT, 14)         \
  X(kEbusy, EBUSY, 16)           \
  X(kEexist, EEXIST, 17)         \
  X(kEnodev, ENODEV, 19)         \
  X(kEinval, EINVAL, 22)         \
  X(kEnfile, ENFILE, 23)         \
  X(kEtxtbsy, ETXTBSY, 26)       \
  X(kEfbig, EFBIG, 27)           \
  X(kEnospc, ENOSPC, 28)         \
  X(kErange, ERANGE, 34)         \
  X(kEdeadlk, EDEADLK, 35)       \
  X(kEnosys, ENOSYS, 38)         \
  X(kEoverflow, EOVERFLOW, 75)   \
  X(kEopnotsupp, EOPNOTSUPP, 95) \
  X(kEtimedout, ETIMEDOUT, 110)  \
  X(kEhwpoison, EHWPOISON, 133)

namespace faultline::inline FAULTLINE_FLAVOUR {

/// Why an operation failed. The value is Linux's positive error number.
enum class [[nodiscard]] Errno : int {
#define FAULTLINE_ENUMERATOR(enumerator, name, number) enumerator = number,
  FAULTLINE_ERRNO_TABLE(FAULTLINE_ENUMERATOR)
#undef FAULTLINE_ENUMERATOR
};

/// Linux's name of `error`, such as "ENOMEM"; "E?" for a number outside the table.
[[nodiscard]] std::string_view Name(Errno error) noexcept;

/// The error that Linux calls `name`, such as "ENOMEM" (exact case); none if not in the table.
[[nodiscard]] std::optional<Errno> ErrnoFromName(std::string_view name) noexcept;

}  // namespace faultline
