// SPDX-License-Identifier: Apache-2.0
//
// faultline: the command line. One file for each subcommand; here they are put together.
#include <faultline_build_id.h>

#include <iostream>

#include <CLI/CLI.hpp>
#include <absl/strings/str_format.h>

#include "client/cli/command.h"
#include "client/cli/import_command.h"

namespace faultline::client {
namespace {

constexpr const char* kFooter = R"(
Exit codes:
  0  done
  2  wrong usage: an unknown flag or value; nothing ran
  3  an input was refused: damaged, cut, lossy, or of another tool; nothing was written
  4  a file cannot be opened or written
)";

ExitCode Main(int argc, char** argv) {
  Command chosen;
  CLI::App app("Drives a simulated memory manager with loads and with recordings of real programs.",
               "faultline");
  app.set_version_flag("--version", absl::StrFormat("faultline %s", kBuildId));
  app.footer(kFooter);
  app.require_subcommand(1);
  AddImportCommand(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? ExitCode::kDone : ExitCode::kUsage;
  }
  return chosen();
}

}  // namespace
}  // namespace faultline::client

int main(int argc, char** argv) { return static_cast<int>(faultline::client::Main(argc, argv)); }
