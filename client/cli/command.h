// SPDX-License-Identifier: Apache-2.0
//
// What the subcommands of `faultline` have in common: how one is chosen and how the program exits.
#pragma once

#include <functional>

namespace faultline::client {

/// Of the process; `faultline --help` documents them.
enum class ExitCode : int {
  kDone = 0,
  kUsage = 2,    ///< wrong usage; nothing ran
  kRefused = 3,  ///< an input is not what it should be; nothing was written
  kFiles = 4,    ///< a file cannot be opened or written
};

/// The subcommand that the command line chose, with its flags.
using Command = std::function<ExitCode()>;

}  // namespace faultline::client
