// SPDX-License-Identifier: Apache-2.0
//
// Parses the embedded presets and makes variants of those that have some.
//
// A preset that does not parse is a bug of the build, and a test parses all of them; at run time it
// ends the process, with the parser's complaint on stderr.
#include "proto/workload/presets.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <google/protobuf/repeated_ptr_field.h>
#include <google/protobuf/text_format.h>

#include "proto/workload/preset_texts.h"

namespace faultline::workload {
namespace {

v1::Workload Parse(const PresetText& preset) {
  v1::Workload workload;
  const std::string text(preset.text);
  if (google::protobuf::TextFormat::ParseFromString(text, &workload)) return workload;
  std::fprintf(stderr, "the preset %s cannot be parsed\n", std::string(preset.file).c_str());
  std::abort();
}

void AddTasks(const v1::Workload& tasks, std::vector<v1::Workload>& presets) {
  v1::Workload& threads = presets.emplace_back(tasks);
  threads.set_name(tasks.name() + "_threads");
  v1::Workload& processes = presets.emplace_back(tasks);
  processes.set_name(tasks.name() + "_processes");
  for (v1::Actor& actor : *processes.mutable_actors()) actor.set_own_mm(true);
}

bool Observes(const v1::Actor& actor) {
  return std::any_of(actor.loop().begin(), actor.loop().end(),
                     [](const v1::Step& step) { return step.has_observe(); });
}

/// The same with observers that read so.
v1::Workload Reading(const v1::Workload& workload, v1::ObservedFile file, v1::ReadMode mode) {
  v1::Workload reading = workload;
  for (v1::Actor& actor : *reading.mutable_actors()) {
    for (v1::Step& step : *actor.mutable_loop()) {
      if (!step.has_observe()) continue;
      step.mutable_observe()->set_file(file);
      step.mutable_observe()->set_mode(mode);
    }
  }
  return reading;
}

void AddReadings(const v1::Workload& workload, std::vector<v1::Workload>& presets) {
  using File = std::pair<v1::ObservedFile, const char*>;
  using Mode = std::pair<v1::ReadMode, const char*>;
  for (const auto& [file, file_name] :
       {File{v1::OBSERVED_FILE_MAPS, "_maps"}, File{v1::OBSERVED_FILE_SMAPS, "_smaps"}}) {
    for (const auto& [mode, mode_name] :
         {Mode{v1::READ_MODE_WHOLE_LOCK, "_whole_lock"}, Mode{v1::READ_MODE_PER_VMA, "_per_vma"},
          Mode{v1::READ_MODE_RCU, "_rcu"}}) {
      presets.push_back(Reading(workload, file, mode));
      presets.back().set_name(workload.name() + file_name + mode_name);
    }
  }
  v1::Workload& nobody = presets.emplace_back(workload);
  nobody.set_name(workload.name() + "_none");
  auto& actors = *nobody.mutable_actors();
  actors.erase(std::remove_if(actors.begin(), actors.end(), Observes), actors.end());
}

std::vector<v1::Workload> MakePresets() {
  std::vector<v1::Workload> presets;
  for (const PresetText& preset : PresetTexts()) {
    const v1::Workload workload = Parse(preset);
    switch (preset.variants) {
      case PresetVariants::kNone:
        presets.push_back(workload);
        break;
      case PresetVariants::kTasks:
        AddTasks(workload, presets);
        break;
      case PresetVariants::kReadings:
        AddReadings(workload, presets);
        break;
    }
  }
  std::sort(presets.begin(), presets.end(),
            [](const v1::Workload& a, const v1::Workload& b) { return a.name() < b.name(); });
  return presets;
}

}  // namespace

std::span<const v1::Workload> Presets() {
  static const auto* const presets = new std::vector<v1::Workload>(MakePresets());
  return *presets;
}

const v1::Workload* FindPreset(std::string_view name) {
  const std::span<const v1::Workload> presets = Presets();
  const auto found =
      std::find_if(presets.begin(), presets.end(),
                   [name](const v1::Workload& preset) { return preset.name() == name; });
  return found == presets.end() ? nullptr : &*found;
}

}  // namespace faultline::workload
