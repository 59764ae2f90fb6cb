// SPDX-License-Identifier: Apache-2.0
//
// The table of faultlined's settings: one row for each, from which the flags, the variables, the
// keys of the file, --help and --print-config are all made. Reading a row's value and checking it
// is one function, so that no level can be laxer than another.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/config.h"

namespace faultline::server {

/// A value as text; several if the setting can be given more than once.
using SettingValues = std::vector<std::string>;

struct Setting {
  enum class Kind : uint8_t {
    kValue,   ///< one value
    kList,    ///< several; in a variable separated by commas
    kSwitch,  ///< true or false; as a flag, just its name means true
  };

  std::string name;  ///< with hyphens
  Kind kind = Kind::kValue;
  std::string type_name;  ///< for --help
  std::string help;
  /// Stores the values, or says what is allowed instead, as a sentence, and stores nothing.
  std::function<std::string(const SettingValues&, Config&)> set;
  std::function<SettingValues(const Config&)> get;

  [[nodiscard]] std::string Variable() const;  ///< FAULTLINED_...
};

/// All of them, limits last.
[[nodiscard]] const std::vector<Setting>& AllSettings();

}  // namespace faultline::server
