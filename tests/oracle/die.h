// SPDX-License-Identifier: Apache-2.0
//
// How the oracle ends when the machine denies it something that it cannot do without: it says
// what, and leaves with exit code 3. That is no difference between the subjects, and no result.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace faultline::oracle {

inline constexpr int kExitBroken = 3;

[[noreturn]] inline void Die(const std::string& why) {
  std::fprintf(stderr, "host_differential: %s\n", why.c_str());
  std::exit(kExitBroken);
}

[[noreturn]] inline void DieErrno(const std::string& why) {
  Die(why + ": " + std::strerror(errno));
}

}  // namespace faultline::oracle
