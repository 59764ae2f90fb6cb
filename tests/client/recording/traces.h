// SPDX-License-Identifier: Apache-2.0
//
// The recordings of real programs in tests/data/traces, imported once for all tests of a binary:
// two that perf made, with maps from the program's start and end, and one of strace.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "client/recording/concat.h"
#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/maps_text.h"
#include "client/recording/perf_script.h"
#include "client/recording/recording.h"

namespace faultline::client {

inline std::string TracePath(const std::string& name) {
  return Concat(FAULTLINE_SOURCE_DIR, "/tests/data/traces/", name);
}

inline LineReader OpenTrace(const std::string& name) {
  absl::StatusOr<LineReader> lines = LineReader::Open(TracePath(name));
  if (!lines.ok()) throw std::runtime_error(lines.status().ToString());
  return std::move(*lines);
}

inline std::vector<Mapping> MapsOfTrace(const std::string& name) {
  LineReader lines = OpenTrace(name);
  absl::StatusOr<std::vector<Mapping>> maps = ParseMaps(lines);
  if (!maps.ok()) throw std::runtime_error(maps.status().ToString());
  return *maps;
}

/// The perf recording `name` of process `pid`.
inline Recording ImportTrace(const std::string& name, uint32_t pid) {
  const std::string maps = Concat(name, ".", pid);
  const ImportOptions options{.losses = Losses::kRefuse,
                              .command = name,
                              .host = {},
                              .maps = {{pid, Moment::kLoaded, MapsOfTrace(maps + ".start.maps")},
                                       {pid, Moment::kEnd, MapsOfTrace(maps + ".end.maps")}}};
  LineReader lines = OpenTrace(name + ".perf.txt.gz");
  absl::StatusOr<Recording> recording = ImportPerfScript(lines, options);
  if (!recording.ok()) throw std::runtime_error(recording.status().ToString());
  return *recording;
}

inline const Recording& Pythreads() {
  static const Recording recording = ImportTrace("pythreads", 6466);
  return recording;
}
inline const Recording& Sort() {
  static const Recording recording = ImportTrace("sort", 6602);
  return recording;
}

}  // namespace faultline::client
