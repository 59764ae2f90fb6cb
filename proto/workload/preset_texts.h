// SPDX-License-Identifier: Apache-2.0
//
// The texts of the presets as the build embedded them: embed_presets.cmake writes the source of
// PresetTexts from the files in presets/. Used by presets.cc alone.
//
// A preset's variants stand in CMakeLists.txt, where its file is listed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace faultline::workload {

/// What one file becomes.
enum class PresetVariants : uint8_t {
  kNone,      ///< the preset as it is
  kTasks,     ///< NAME_threads and NAME_processes
  kReadings,  ///< NAME_FILE_MODE for each way to read maps, and NAME_none
};

struct PresetText {
  std::string_view file;
  PresetVariants variants;
  std::string_view text;
};

/// In the order of CMakeLists.txt.
[[nodiscard]] std::span<const PresetText> PresetTexts();

}  // namespace faultline::workload
