// SPDX-License-Identifier: Apache-2.0
//
// How faultlined is set up: flags beat the environment, which beats the file, which beats the
// defaults. Every setting has one name on all four levels: --drain-seconds is
// FAULTLINED_DRAIN_SECONDS and, in the file, drain-seconds.
//
// Guarantee: a value that is refused is named with where it came from, what it is and what is
// allowed, on stderr, whichever level it is on and even if another level overrides it; nothing has
// started by then.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "server/address.h"
#include "server/limits.h"
#include "server/log.h"

namespace faultline::server {

/// What faultlined exits with; --help documents them.
enum class ExitCode : int {
  kDone = 0,         ///< drained, or did what it was asked
  kNotServing = 1,   ///< --health-check: it does not serve
  kUsage = 2,        ///< a flag, variable or file was refused; nothing started
  kCannotStart = 3,  ///< an address is taken, or the host refuses something
  kCutShort = 4,     ///< the drain ended by its deadline or a second signal, with calls under way
};

struct Config {
  std::vector<Address> listen;   ///< at least one, no two the same
  std::vector<Address> metrics;  ///< one, or none: no port for metrics
  bool insecure = false;         ///< addresses that others can reach are allowed
  bool require_routing_header = false;
  uint64_t drain_seconds = 30;  ///< what calls under way have at the end
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  Limits limits;

  Config();  ///< the defaults
};

/// The environment: variables by name.
using Environment = std::map<std::string, std::string>;
[[nodiscard]] Environment HostEnvironment();

enum class RunMode : uint8_t { kServe, kPrintConfig, kHealthCheck };

struct ParsedConfig {
  RunMode mode = RunMode::kServe;
  Config config;
  /// Where each setting is from, by name: "flag", "environment FAULTLINED_X", "file F", "default".
  std::map<std::string, std::string> sources;
  /// What is odd and not refused, as sentences for the log.
  std::vector<std::string> warnings;
};

/// The settings, or the code to exit with: help, version or a refusal has been printed by then.
[[nodiscard]] std::variant<ParsedConfig, ExitCode> ParseConfig(int argc, const char* const* argv,
                                                               const Environment& environment);

/// Each setting with its source, in the form of a configuration file.
[[nodiscard]] std::string DescribeConfig(const ParsedConfig& parsed);

}  // namespace faultline::server
