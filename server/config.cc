// SPDX-License-Identifier: Apache-2.0
//
// The four levels. CLI11 reads the command line and the file; which level wins is decided here,
// since CLI11 2.1 lets a file beat the environment. Each level is applied on top of the one below
// it, from the defaults up, through the same functions (settings.h).
#include "server/config.h"

#include <faultline_build_id.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include "server/settings.h"

namespace faultline::server {
namespace {

constexpr const char* kConfigVariable = "FAULTLINED_CONFIG";
constexpr const char* kPrefix = "FAULTLINED_";

constexpr const char* kFooter = R"(
A flag beats its variable, that the file, that the default. --drain-seconds=5 is
FAULTLINED_DRAIN_SECONDS=5 in the environment (a list has commas) and, in the file of --config or
FAULTLINED_CONFIG, drain-seconds = 5. What --print-config prints is such a file.

SIGTERM and SIGINT drain: health checks and /readyz say no, new connections are refused, calls under
way are finished within --drain-seconds. A second signal ends it at once.

Exit codes:
  0  drained, or did what was asked
  1  --health-check: it does not serve, or not as this configuration says
  2  a flag, variable or file was refused; nothing started
  3  cannot start: an address is taken, or the host refuses something
  4  the drain was cut short by its deadline or a second signal; calls under way were cancelled

Examples:
  faultlined                                         on 127.0.0.1:50051
  faultlined --listen=unix:/run/faultlined.sock --metrics=
  faultlined --listen=0.0.0.0:50051 --insecure       for everybody who can reach the host
  faultlined --health-check                          asks the one that was started likewise
)";

/// Values by setting.
using Level = std::map<std::string, SettingValues>;

ExitCode Refuse(const std::string& why) {
  std::cerr << "faultlined: " << why << "\nSee faultlined --help.\n";
  return ExitCode::kUsage;
}

const Setting* Find(const std::string& name) {
  const auto& all = AllSettings();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&name](const Setting& setting) { return setting.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string DefaultOf(const Setting& setting) {
  const std::string text = absl::StrJoin(setting.get(Config()), ",");
  return text.empty() ? "none" : text;
}

// -- The command line ---------------------------------------------------------------------------

struct CommandLine {
  Level level;
  RunMode mode = RunMode::kServe;
  std::optional<std::string> file;
};

void AddSetting(CLI::App& app, const Setting& setting) {
  const std::string flag = absl::StrCat("--", setting.name);
  if (setting.kind == Setting::Kind::kSwitch) {
    app.add_flag(flag, setting.help);
    return;
  }
  const std::string help = absl::StrCat(setting.help, "; default ", DefaultOf(setting));
  const bool is_list = setting.kind == Setting::Kind::kList;
  CLI::Option* const option =
      is_list ? app.add_option_function<SettingValues>(
                    flag, [](const SettingValues&) {}, help)
              : app.add_option_function<std::string>(flag, [](const std::string&) {}, help);
  option->type_name(setting.type_name)->allow_extra_args(false);
  option->multi_option_policy(is_list ? CLI::MultiOptionPolicy::TakeAll
                                      : CLI::MultiOptionPolicy::Throw);
}

/// The arguments as CLI11 wants them, from the last one up. "--listen=" becomes two, of which the
/// second is empty: CLI11 would take the next argument as the value.
std::vector<std::string> ArgumentsOf(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (!argument.starts_with("--") || !argument.ends_with('=')) {
      arguments.push_back(std::move(argument));
      continue;
    }
    const Setting* const setting = Find(argument.substr(2, argument.size() - 3));
    const bool has_value = setting != nullptr && setting->kind != Setting::Kind::kSwitch;
    if (has_value) argument.pop_back();
    arguments.push_back(std::move(argument));
    if (has_value) arguments.emplace_back();
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

std::variant<CommandLine, ExitCode> ReadCommandLine(int argc, const char* const* argv) {
  CLI::App app("Serves simulated machines to clients whose calls are page faults.", "faultlined");
  std::string file;
  app.add_option("--config", file, "Settings, one per line: name = value")->type_name("FILE");
  bool print = false;
  bool check = false;
  app.add_flag("--print-config", print, "Print each setting and where it is from; serve nothing");
  app.add_flag("--health-check", check, "Ask the server at the first --listen; serve nothing");
  app.set_version_flag("--version", absl::StrFormat("faultlined %s", kBuildId));
  app.footer(kFooter);
  for (const Setting& setting : AllSettings()) AddSetting(app, setting);
  try {
    app.parse(ArgumentsOf(argc, argv));
  } catch (const CLI::Success& done) {
    app.exit(done);
    return ExitCode::kDone;
  } catch (const CLI::ParseError& error) {
    return Refuse(error.what());
  }
  if (print && check) {
    return Refuse("--print-config cannot be combined with --health-check");
  }
  CommandLine line;
  if (print) line.mode = RunMode::kPrintConfig;
  if (check) line.mode = RunMode::kHealthCheck;
  if (app.count("--config") != 0) line.file = file;
  for (const Setting& setting : AllSettings()) {
    const CLI::Option& option = *app.get_option(absl::StrCat("--", setting.name));
    if (option.count() > 1 && setting.kind == Setting::Kind::kSwitch) {
      return Refuse(absl::StrCat("--", setting.name, ": is there ", option.count(), " times"));
    }
    if (option.count() != 0) line.level[setting.name] = option.results();
  }
  return line;
}

// -- The levels below ---------------------------------------------------------------------------

Level ReadEnvironment(const Environment& environment) {
  Level level;
  for (const Setting& setting : AllSettings()) {
    const auto found = environment.find(setting.Variable());
    if (found == environment.end()) continue;
    if (setting.kind == Setting::Kind::kList) {
      level[setting.name] = absl::StrSplit(found->second, ',');
    } else {
      level[setting.name] = {found->second};
    }
  }
  return level;
}

/// Variables that look like ours and are none. No error: Kubernetes makes FAULTLINED_PORT and more
/// for a service called faultlined.
std::vector<std::string> UnknownVariables(const Environment& environment) {
  std::vector<std::string> warnings;
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix) || name == kConfigVariable) continue;
    const auto& all = AllSettings();
    if (std::none_of(all.begin(), all.end(),
                     [&name](const Setting& setting) { return setting.Variable() == name; })) {
      warnings.push_back(absl::StrCat("environment: ", name, " is no setting and has no effect"));
    }
  }
  return warnings;
}

/// The settings of a file, or why it was refused.
std::variant<Level, std::string> ReadFile(const std::string& path) {
  std::ifstream stream(path);
  const std::string where = absl::StrCat("file ", path, ": ");
  if (!stream.is_open()) return where + "cannot be opened";
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(stream);
  } catch (const std::exception& error) {
    return where + error.what();
  }
  if (stream.bad()) return where + "cannot be read";
  Level level;
  for (CLI::ConfigItem& item : items) {
    if (!item.parents.empty()) {
      return absl::StrCat(where, "'", item.fullname(), "': there are no sections");
    }
    const Setting* const setting = Find(item.name);
    if (setting == nullptr) {
      return absl::StrCat(where, "'", item.name,
                          "' is unknown; --print-config lists what there is");
    }
    if (level.contains(item.name)) return absl::StrCat(where, item.name, ": is there twice");
    if (setting->kind != Setting::Kind::kList && item.inputs.size() != 1) {
      return absl::StrCat(where, item.name, ": takes one value, not ", item.inputs.size());
    }
    level[item.name] = std::move(item.inputs);
  }
  return level;
}

/// Puts a level on top of what `parsed` has. `origin` says where it is from, and is the beginning
/// of a sentence about a setting: empty on success.
std::string Apply(const Level& level, const std::function<std::string(const Setting&)>& origin,
                  const std::function<std::string(const Setting&)>& blame, ParsedConfig& parsed) {
  for (const auto& [name, values] : level) {
    const Setting& setting = *Find(name);
    if (const std::string problem = setting.set(values, parsed.config); !problem.empty()) {
      return absl::StrCat(blame(setting), ": ", problem);
    }
    parsed.sources[name] = origin(setting);
  }
  return {};
}

// -- All together -------------------------------------------------------------------------------

/// What single settings cannot know; empty if all is well.
std::string WhyNotTogether(const ParsedConfig& parsed) {
  const Config& config = parsed.config;
  for (const auto& [name, addresses] :
       {std::pair("listen", &config.listen), std::pair("metrics", &config.metrics)}) {
    for (const Address& address : *addresses) {
      if (address.IsLocal() || config.insecure) continue;
      return absl::StrCat(name, ": '", address.Text(), "' (", parsed.sources.at(name),
                          ") can be reached from other hosts, and nobody is asked who they are; "
                          "allowed: loopback addresses and unix sockets, or --insecure");
    }
  }
  return WhyRefused(config.limits);
}

/// Fills `parsed` from the defaults up; the reason if something is refused.
std::string ApplyLevels(const CommandLine& line, const Environment& environment,
                        ParsedConfig& parsed) {
  for (const Setting& setting : AllSettings()) parsed.sources[setting.name] = "default";
  std::optional<std::string> path = line.file;
  if (const auto found = environment.find(kConfigVariable); !path && found != environment.end()) {
    path = found->second;
  }
  if (path.has_value()) {
    auto level = ReadFile(*path);
    if (const auto* problem = std::get_if<std::string>(&level)) return *problem;
    const std::string file = absl::StrCat("file ", *path);
    std::string problem = Apply(
        std::get<Level>(level), [&file](const Setting&) { return std::string(file); },
        [&file](const Setting& setting) { return absl::StrCat(file, ": ", setting.name); }, parsed);
    if (!problem.empty()) return problem;
  }
  const auto variable = [](const Setting& setting) {
    return absl::StrCat("environment ", setting.Variable());
  };
  if (std::string problem = Apply(ReadEnvironment(environment), variable, variable, parsed);
      !problem.empty()) {
    return problem;
  }
  return Apply(
      line.level, [](const Setting&) { return std::string("flag"); },
      [](const Setting& setting) { return absl::StrCat("--", setting.name); }, parsed);
}

}  // namespace

Config::Config()
    : listen({{.kind = Address::Kind::kTcp, .host = "127.0.0.1", .port = 50051, .path = ""}}),
      metrics({{.kind = Address::Kind::kTcp, .host = "127.0.0.1", .port = 9464, .path = ""}}) {}

Environment HostEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

std::variant<ParsedConfig, ExitCode> ParseConfig(int argc, const char* const* argv,
                                                 const Environment& environment) {
  const auto line = ReadCommandLine(argc, argv);
  if (const auto* code = std::get_if<ExitCode>(&line)) return *code;
  ParsedConfig parsed;
  parsed.mode = std::get<CommandLine>(line).mode;
  parsed.warnings = UnknownVariables(environment);
  if (const auto why = ApplyLevels(std::get<CommandLine>(line), environment, parsed);
      !why.empty()) {
    return Refuse(why);
  }
  if (const auto why = WhyNotTogether(parsed); !why.empty()) return Refuse(why);
  return parsed;
}

std::string DescribeConfig(const ParsedConfig& parsed) {
  std::string text;
  for (const Setting& setting : AllSettings()) {
    SettingValues quoted = setting.get(parsed.config);
    const bool is_list = setting.kind == Setting::Kind::kList;
    for (std::string& value : quoted) {
      if (setting.type_name != "N" && setting.kind != Setting::Kind::kSwitch) {
        value = absl::StrCat("\"", value, "\"");
      }
    }
    const std::string value = absl::StrJoin(quoted, ", ");
    const std::string assignment =
        absl::StrCat(setting.name, " = ", is_list ? absl::StrCat("[", value, "]") : value);
    absl::StrAppendFormat(&text, "%-44s # %s\n", assignment, parsed.sources.at(setting.name));
  }
  return text;
}

}  // namespace faultline::server
