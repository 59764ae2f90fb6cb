// SPDX-License-Identifier: Apache-2.0
//
// The table and the JSON object of a recording; see recording_text.h. Both go over the same rows:
// kinds that the recording has, in the order of their numbers.
#include "client/cli/recording_text.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <absl/strings/str_format.h>
#include <nlohmann/json.hpp>

#include "client/recording/concat.h"
#include "client/recording/summary.h"

namespace faultline::client {
namespace {

constexpr int kSchema = 1;

std::string_view NameOf(Tool tool) {
  switch (tool) {
    case Tool::kPerf:
      return "perf";
    case Tool::kStrace:
      return "strace";
    case Tool::kUnknown:
      break;
  }
  return "unknown";
}

std::string Count(uint64_t count, std::string_view one, std::string_view more) {
  return Concat(count, " ", count == 1 ? one : more);
}

std::string TextOf(const Mark& mark) {
  std::string text = Concat("  ", NameOf(mark.kind), ": ", mark.text);
  if (mark.count > 1) text += Concat(", ", mark.count, " times");
  if (mark.line != 0) text += Concat(", first in line ", mark.line);
  return text + "\n";
}

}  // namespace

std::string TextOf(const RecordingFile& file) {
  const Recording& recording = file.recording;
  std::string text =
      Concat(file.path, ": ", file.bytes, " bytes, from ", NameOf(recording.source.tool), ", ",
             Count(recording.processes.size(), "process", "processes"), ", ",
             Count(recording.threads.size(), "thread", "threads"), ", ",
             Count(recording.images.size(), "image", "images"), ", ",
             Count(recording.operations.size(), "operation", "operations"), "\n");
  absl::StrAppendFormat(&text, "\n%-14s %10s %8s %10s %8s %8s %8s\n", "mmap_lock", "operations",
                        "failed", "took it", "reads", "writes", "gave up");
  const Summary summary = Summarize(recording);
  for (const OpKind kind : AllOpKinds()) {
    const KindSummary& of = summary.of(kind);
    if (of.operations == 0) continue;
    absl::StrAppendFormat(&text, "%-14s %10d %8d %10d %8d %8d %8d\n", NameOf(kind), of.operations,
                          of.failed, of.took_lock, of.reads, of.writes, of.gave_up);
  }
  if (recording.marks.empty()) return text;
  text += Concat(recording.lossy() ? "\nLossy; what is missing:\n" : "\nNot known:\n");
  for (const Mark& mark : recording.marks) text += TextOf(mark);
  return text;
}

std::string JsonOf(const RecordingFile& file) {
  const Recording& recording = file.recording;
  nlohmann::ordered_json json = {{"schema", kSchema},
                                 {"file", file.path},
                                 {"bytes", file.bytes},
                                 {"tool", NameOf(recording.source.tool)},
                                 {"command", recording.source.command},
                                 {"processes", recording.processes.size()},
                                 {"threads", recording.threads.size()},
                                 {"images", recording.images.size()},
                                 {"operations", recording.operations.size()},
                                 {"lossy", recording.lossy()},
                                 {"kinds", nlohmann::ordered_json::array()},
                                 {"marks", nlohmann::ordered_json::array()}};
  const Summary summary = Summarize(recording);
  for (const OpKind kind : AllOpKinds()) {
    const KindSummary& of = summary.of(kind);
    if (of.operations == 0) continue;
    json["kinds"].push_back({{"kind", NameOf(kind)},
                             {"operations", of.operations},
                             {"failed", of.failed},
                             {"took_lock", of.took_lock},
                             {"reads", of.reads},
                             {"writes", of.writes},
                             {"gave_up", of.gave_up}});
  }
  for (const Mark& mark : recording.marks) {
    json["marks"].push_back({{"kind", NameOf(mark.kind)},
                             {"line", mark.line},
                             {"count", mark.count},
                             {"text", mark.text}});
  }
  // Names of programs are bytes, and need not be UTF-8.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace faultline::client
