// SPDX-License-Identifier: Apache-2.0
//
// What each setting is called, takes and stores; see settings.h. Sentences about values name the
// value and what is allowed; which setting and where it was, the caller adds.
#include "server/settings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>

namespace faultline::server {
namespace {

constexpr uint64_t kMostDrainSeconds = 86'400;

std::string NotAllowed(const std::string& value, const std::string& allowed) {
  return absl::StrCat("'", value, "' is not allowed, only ", allowed);
}

std::string SetNumber(const std::string& text, uint64_t min, uint64_t max, uint64_t& number) {
  uint64_t read = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, read);
  if (error != std::errc() || stop != end || read < min || read > max) {
    return NotAllowed(text, absl::StrCat("whole numbers from ", min, " to ", max));
  }
  number = read;
  return {};
}

Setting Number(const std::string& name, uint64_t Config::* where, uint64_t max,
               const std::string& help) {
  return {
      .name = name,
      .kind = Setting::Kind::kValue,
      .type_name = "N",
      .help = help,
      .set = [where, max](const SettingValues& values,
                          Config& config) { return SetNumber(values[0], 0, max, config.*where); },
      .get = [where](const Config& config) -> SettingValues {
        return {std::to_string(config.*where)};
      }};
}

Setting Switch(const std::string& name, bool Config::* where, const std::string& help) {
  return {.name = name,
          .kind = Setting::Kind::kSwitch,
          .type_name = "",
          .help = help,
          .set = [where](const SettingValues& values, Config& config) -> std::string {
            const bool yes = values[0] == "true" || values[0] == "1";
            if (!yes && values[0] != "false" && values[0] != "0") {
              return NotAllowed(values[0], "true, false, 1, 0");
            }
            config.*where = yes;
            return {};
          },
          .get = [where](const Config& config) -> SettingValues {
            return {config.*where ? "true" : "false"};
          }};
}

template <class Enum>
using Words = std::vector<std::pair<std::string, Enum>>;

template <class Enum>
Setting Choice(const std::string& name, Enum Config::* where, const Words<Enum>& words,
               const std::string& help) {
  return {.name = name,
          .kind = Setting::Kind::kValue,
          .type_name = "NAME",
          .help = help,
          .set = [where, words](const SettingValues& values, Config& config) -> std::string {
            SettingValues allowed;
            for (const auto& [word, value] : words) {
              allowed.push_back(word);
              if (word != values[0]) continue;
              config.*where = value;
              return {};
            }
            return NotAllowed(values[0], absl::StrJoin(allowed, ", "));
          },
          .get = [where, words](const Config& config) -> SettingValues {
            for (const auto& [word, value] : words) {
              if (value == config.*where) return {word};
            }
            return {};
          }};
}

/// `least`, `most`: how many addresses. An empty value is none.
std::string SetAddresses(const SettingValues& values, size_t least, size_t most,
                         std::vector<Address>& addresses) {
  std::vector<Address> read;
  for (const std::string& value : values) {
    if (value.empty()) continue;
    auto address = ParseAddress(value);
    if (const auto* allowed = std::get_if<std::string>(&address)) {
      return absl::StrCat("'", value, "' is no address; ", *allowed);
    }
    const auto& given = read.emplace_back(std::get<Address>(address));
    if ((given.kind == Address::Kind::kUnix || given.port != 0) &&
        std::count(read.begin(), read.end(), given) > 1) {
      return absl::StrCat("'", value, "' is there twice");
    }
  }
  if (read.size() < least || read.size() > most) {
    return NotAllowed(absl::StrJoin(values, ","), absl::StrCat(least, " to ", most, " addresses"));
  }
  addresses = std::move(read);
  return {};
}

SettingValues TextsOf(const std::vector<Address>& addresses) {
  SettingValues texts;
  for (const Address& address : addresses) texts.push_back(address.Text());
  return texts;
}

Setting Listen() {
  return {.name = "listen",
          .kind = Setting::Kind::kList,
          .type_name = "ADDRESS",
          .help = "Where calls come in: HOST:PORT or unix:PATH; repeatable",
          .set = [](const SettingValues& values,
                    Config& config) { return SetAddresses(values, 1, 64, config.listen); },
          .get = [](const Config& config) { return TextsOf(config.listen); }};
}

Setting Metrics() {
  return {
      .name = "metrics",
      .kind = Setting::Kind::kValue,
      .type_name = "HOST:PORT",
      .help = "Where /metrics, /healthz and /readyz are; empty: nowhere",
      .set = [](const SettingValues& values, Config& config) -> std::string {
        std::vector<Address> addresses;
        std::string problem = SetAddresses(values, 0, 1, addresses);
        if (problem.empty() && !addresses.empty() && addresses[0].kind == Address::Kind::kUnix) {
          problem = NotAllowed(values[0], "HOST:PORT");
        }
        if (problem.empty()) config.metrics = std::move(addresses);
        return problem;
      },
      .get = [](const Config& config) -> SettingValues {
        if (config.metrics.empty()) return {""};
        return TextsOf(config.metrics);
      }};
}

Setting OfLimit(const LimitInfo& limit) {
  return {.name = absl::StrReplaceAll(limit.name, {{"_", "-"}}),
          .kind = Setting::Kind::kValue,
          .type_name = "N",
          .help = limit.help,
          .set =
              [limit](const SettingValues& values, Config& config) {
                return SetNumber(values[0], limit.min, limit.max, config.limits.*limit.value);
              },
          .get = [limit](const Config& config) -> SettingValues {
            return {std::to_string(config.limits.*limit.value)};
          }};
}

std::vector<Setting> MakeSettings() {
  std::vector<Setting> settings = {
      Listen(),
      Metrics(),
      Switch("insecure", &Config::insecure,
             "Allow addresses that other hosts can reach, though nobody is asked who they are"),
      Switch("require-routing-header", &Config::require_routing_header,
             "Refuse calls without metadata faultline-machine"),
      Number("drain-seconds", &Config::drain_seconds, kMostDrainSeconds,
             "What calls under way have left after SIGTERM"),
      Choice<LogLevel>("log-level", &Config::log_level,
                       {{"debug", LogLevel::kDebug},
                        {"info", LogLevel::kInfo},
                        {"warning", LogLevel::kWarning},
                        {"error", LogLevel::kError}},
                       "The least that is logged: debug, info, warning, error"),
      Choice<LogFormat>("log-format", &Config::log_format,
                        {{"text", LogFormat::kText}, {"json", LogFormat::kJson}},
                        "Log lines as text or json"),
  };
  for (const LimitInfo& limit : AllLimits()) settings.push_back(OfLimit(limit));
  return settings;
}

}  // namespace

std::string Setting::Variable() const {
  return absl::StrCat("FAULTLINED_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})));
}

const std::vector<Setting>& AllSettings() {
  static const std::vector<Setting> settings = MakeSettings();
  return settings;
}

}  // namespace faultline::server
