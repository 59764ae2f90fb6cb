// SPDX-License-Identifier: Apache-2.0
//
// What importers have in common: what they are asked for, and how they treat what is not right with
// their input.
//
// Nothing is passed over in silence. What cannot be read, what the tracer lost, where time went
// back or the text ends early is an error with file and line, unless the caller asked to have it
// marked: then the import goes on and the recording says so (Recording::lossy).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {

enum class Losses : uint8_t { kRefuse, kMark };

/// When maps were read.
enum class Moment : uint8_t {
  kLoaded,  ///< after the program and its libraries were loaded, or any later time in its last
            ///< image
  kEnd,     ///< right before its last image ended
};

/// /proc/PID/maps of a process, in its last image.
struct MapsSnapshot {
  uint32_t pid = 0;
  Moment moment = Moment::kLoaded;
  std::vector<Mapping> maps;
};

struct ImportOptions {
  Losses losses = Losses::kRefuse;
  std::string command;
  Host host;
  std::vector<MapsSnapshot> maps;
};

/// Keeps the account of what is not right with an input.
class LossAccount {
 public:
  LossAccount(const LineReader& lines, Losses losses) : lines_(lines), losses_(losses) {}

  /// OK if it may be marked, else the error. Marks with the same text become one, at their first
  /// line, with the sum of `count`.
  [[nodiscard]] absl::Status Report(MarkKind kind, uint64_t line, std::string_view text,
                                    uint64_t count = 1);
  /// What is no loss, but has to be known of the recording.
  void Note(MarkKind kind, std::string_view text, uint64_t count = 1);
  [[nodiscard]] std::vector<Mark> Take();

 private:
  void Add(MarkKind kind, uint64_t line, std::string_view text, uint64_t count);

  const LineReader& lines_;
  Losses losses_;
  std::vector<Mark> marks_;
};

/// Puts the snapshots of `options` into the images that they belong to: an end as it is, and from
/// the maps of a loaded program those that were there at its exec (initial_maps.h). NOT_FOUND for a
/// process that is not in the recording.
[[nodiscard]] absl::Status PlaceSnapshots(const ImportOptions& options, Recording& recording);

}  // namespace faultline::client
