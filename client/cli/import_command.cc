// SPDX-License-Identifier: Apache-2.0
//
// `faultline import`; see import_command.h. The recording is written only when the whole input was
// read and found good: until then there is no file, or the one that was there before.
#include "client/cli/import_command.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "client/cli/recording_text.h"
#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/maps_text.h"
#include "client/recording/perf_script.h"
#include "client/recording/strace.h"
#include "client/recording/writer.h"

namespace faultline::client {
namespace {

constexpr const char* kFooter = R"(
The text of perf is that of
  perf record -m 8M -e EVENTS -c 1 -o program.data PROGRAM
  perf script --ns --show-mmap-events --show-task-events -F comm,pid,tid,cpu,time,event,trace
and that of strace of
  strace -f -ttt -T -o program.txt PROGRAM
docs/recordings.md has the events, and what each can and cannot see. Both may be gzipped.

Examples:
  faultline import program.txt.gz --from=perf --output=program.flrec
  faultline import program.txt --from=perf --start-maps=6466:start.maps --end-maps=6466:end.maps \
    --command='python3 threads.py' --output=program.flrec
)";

struct ImportFlags {
  std::string input;
  std::string output;
  std::string from;
  std::vector<std::string> start_maps;
  std::vector<std::string> end_maps;
  std::string command;
  bool mark_losses = false;
  bool json = false;
};

/// PID:FILE, as CLI11 asks for it; empty if it is that.
std::string WhyNoSnapshot(const std::string& value) {
  uint32_t pid = 0;
  const size_t colon = value.find(':');
  if (colon != std::string::npos && colon + 1 < value.size() &&
      absl::SimpleAtoi(value.substr(0, colon), &pid) && pid != 0) {
    return {};
  }
  return absl::StrCat("'", value, "' is not allowed, only PID:FILE with a PID from 1");
}

absl::StatusOr<MapsSnapshot> ReadSnapshot(const std::string& flag, Moment moment) {
  const size_t colon = flag.find(':');
  MapsSnapshot snapshot;
  snapshot.moment = moment;
  if (!absl::SimpleAtoi(flag.substr(0, colon), &snapshot.pid)) {
    return absl::InvalidArgumentError(WhyNoSnapshot(flag));
  }
  absl::StatusOr<LineReader> lines = LineReader::Open(flag.substr(colon + 1));
  if (!lines.ok()) return lines.status();
  absl::StatusOr<std::vector<Mapping>> maps = ParseMaps(*lines);
  if (!maps.ok()) return maps.status();
  snapshot.maps = *std::move(maps);
  return snapshot;
}

absl::StatusOr<ImportOptions> ReadOptions(const ImportFlags& flags) {
  ImportOptions options;
  options.losses = flags.mark_losses ? Losses::kMark : Losses::kRefuse;
  options.command = flags.command;
  const auto read = [&options](const std::vector<std::string>& all, Moment moment) {
    for (const std::string& flag : all) {
      absl::StatusOr<MapsSnapshot> snapshot = ReadSnapshot(flag, moment);
      if (!snapshot.ok()) return snapshot.status();
      options.maps.push_back(*std::move(snapshot));
    }
    return absl::OkStatus();
  };
  absl::Status status = read(flags.start_maps, Moment::kLoaded);
  if (status.ok()) status = read(flags.end_maps, Moment::kEnd);
  if (!status.ok()) return status;
  return options;
}

ExitCode Say(const absl::Status& why, ExitCode code) {
  absl::FPrintF(stderr, "faultline import: %s\n", why.message());
  return code;
}

ExitCode Import(const ImportFlags& flags) {
  std::error_code ignored;
  if (std::filesystem::equivalent(flags.input, flags.output, ignored)) {
    return Say(absl::InvalidArgumentError("--output is the input itself"), ExitCode::kUsage);
  }
  const absl::StatusOr<ImportOptions> options = ReadOptions(flags);
  if (!options.ok()) {
    const bool not_there = absl::IsNotFound(options.status());
    return Say(options.status(), not_there ? ExitCode::kFiles : ExitCode::kRefused);
  }
  absl::StatusOr<LineReader> lines = LineReader::Open(flags.input);
  if (!lines.ok()) return Say(lines.status(), ExitCode::kFiles);
  const absl::StatusOr<Recording> recording =
      flags.from == "perf" ? ImportPerfScript(*lines, *options) : ImportStrace(*lines, *options);
  if (!recording.ok()) return Say(recording.status(), ExitCode::kRefused);
  if (absl::Status status = SaveRecording(*recording, flags.output); !status.ok()) {
    return Say(status, ExitCode::kFiles);
  }
  const RecordingFile file{.recording = *recording,
                           .path = flags.output,
                           .bytes = std::filesystem::file_size(flags.output, ignored)};
  absl::PrintF("%s", flags.json ? JsonOf(file) : TextOf(file));
  return ExitCode::kDone;
}

}  // namespace

void AddImportCommand(CLI::App& app, Command& chosen) {
  const auto flags = std::make_shared<ImportFlags>();
  CLI::App* const import =
      app.add_subcommand("import", "Make a recording of what perf or strace printed");
  import->footer(kFooter);
  import->add_option("INPUT", flags->input, "The text, gzipped or not")->required();
  import->add_option("--from", flags->from, "What printed it: perf or strace")
      ->type_name("TOOL")
      ->required()
      ->check(CLI::IsMember({"perf", "strace"}));
  import->add_option("-o,--output", flags->output, "The recording; replaced when it is whole")
      ->type_name("FILE")
      ->required();
  const CLI::Validator snapshot([](std::string& value) { return WhyNoSnapshot(value); }, "");
  import
      ->add_option("--start-maps", flags->start_maps,
                   "/proc/PID/maps of a process after its program was loaded; repeatable")
      ->type_name("PID:FILE")
      ->allow_extra_args(false)
      ->check(snapshot);
  import
      ->add_option("--end-maps", flags->end_maps,
                   "/proc/PID/maps of a process at its end, to validate replays; repeatable")
      ->type_name("PID:FILE")
      ->allow_extra_args(false)
      ->check(snapshot);
  import->add_option("--command", flags->command, "The command that was recorded, for reports")
      ->type_name("TEXT");
  import->add_flag(
      "--mark-losses", flags->mark_losses,
      "Mark in the recording what is missing or cannot be read, and go on; the default "
      "is to refuse such an input");
  import->add_flag("--json", flags->json, "Print one JSON object instead of a table");
  import->callback([flags, &chosen] { chosen = [flags] { return Import(*flags); }; });
}

}  // namespace faultline::client
