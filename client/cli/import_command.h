// SPDX-License-Identifier: Apache-2.0
//
// `faultline import`: makes a recording of what perf or strace printed, and says what is in it.
#pragma once

#include "client/cli/command.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's own name
class App;
}

namespace faultline::client {

/// Adds the subcommand to `app`. If the command line names it, `chosen` becomes what carries it
/// out. `chosen` outlives the parsing.
void AddImportCommand(CLI::App& app, Command& chosen);

}  // namespace faultline::client
