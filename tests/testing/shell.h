// SPDX-License-Identifier: Apache-2.0
//
// Programs from the outside: what a command prints and how it exits.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

namespace faultline::testing {

struct Outcome {
  int exit_code;  ///< -1: ended by a signal
  std::string output;
};

/// What a shell makes of `command`; its standard output.
inline Outcome Shell(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 4096> buffer{};
  while (const size_t got = fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), got);
  }
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

}  // namespace faultline::testing
