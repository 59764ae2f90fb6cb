// SPDX-License-Identifier: Apache-2.0
//
// The account of losses, and where maps that were read beside the trace go.
//
// Guarantee: with Losses::kRefuse no importer returns a recording that is lossy().
#include "client/recording/import.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/concat.h"
#include "client/recording/initial_maps.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

/// So many marks are kept one by one; beyond that an input is not what it should be, and the last
/// mark counts the rest.
constexpr std::size_t kMaxMarks = 1000;
constexpr std::string_view kMore = "and more";

/// The last image of the process, or kNoIndex.
uint32_t LastImage(const Recording& recording, uint32_t pid) {
  uint32_t last = kNoIndex;
  for (std::size_t i = 0; i < recording.images.size(); ++i) {
    if (recording.processes[recording.images[i].process].pid == pid) {
      last = static_cast<uint32_t>(i);
    }
  }
  return last;
}

}  // namespace

absl::Status LossAccount::Report(MarkKind kind, uint64_t line, std::string_view text,
                                 uint64_t count) {
  if (losses_ == Losses::kRefuse) return absl::DataLossError(lines_.About(line, text));
  Add(kind, line, text, count);
  return absl::OkStatus();
}

void LossAccount::Note(MarkKind kind, std::string_view text, uint64_t count) {
  Add(kind, 0, text, count);
}

std::vector<Mark> LossAccount::Take() { return std::move(marks_); }

void LossAccount::Add(MarkKind kind, uint64_t line, std::string_view text, uint64_t count) {
  if (marks_.size() >= kMaxMarks) text = kMore;
  const auto same = std::ranges::find_if(
      marks_, [&](const Mark& mark) { return mark.kind == kind && mark.text == text; });
  if (same != marks_.end()) {
    same->count += count;
  } else {
    marks_.push_back({.kind = kind, .line = line, .count = count, .text = std::string(text)});
  }
}

absl::Status PlaceSnapshots(const ImportOptions& options, Recording& recording) {
  for (const MapsSnapshot& snapshot : options.maps) {
    const uint32_t index = LastImage(recording, snapshot.pid);
    if (index == kNoIndex) {
      return absl::NotFoundError(
          Concat("maps of process ", snapshot.pid, ", which is not in the recording"));
    }
    Image& image = recording.images[index];
    if (snapshot.moment == Moment::kEnd) {
      image.end_known = true;
      image.end = snapshot.maps;
    } else {
      image.start = MapsAtExec(recording, index, snapshot.maps);
      image.start_known = MapsKnown::kAll;
    }
  }
  return absl::OkStatus();
}

}  // namespace faultline::client
