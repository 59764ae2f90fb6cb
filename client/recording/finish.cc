// SPDX-License-Identifier: Apache-2.0
//
// See finish.h. An image whose maps at its start are not all known is marked here, since the maps
// of the options may have made them known.
#include "client/recording/finish.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/check.h"
#include "client/recording/concat.h"
#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

void CountFromFirst(Recording& recording) {
  uint64_t first = UINT64_MAX;
  for (const Operation& op : recording.operations) first = std::min(first, op.time_ns);
  for (const Thread& thread : recording.threads) first = std::min(first, thread.begin_ns);
  for (const Image& image : recording.images) first = std::min(first, image.begin_ns);
  if (first == UINT64_MAX) first = 0;
  for (Operation& op : recording.operations) op.time_ns -= first;
  for (Thread& thread : recording.threads) thread.begin_ns -= first;
  for (Image& image : recording.images) image.begin_ns -= first;
  recording.source.origin_ns = first;
}

}  // namespace

absl::Status CheckTextEnd(const LineReader& lines, const Recording& recording, bool all_exited,
                          LossAccount& account) {
  if (!lines.status().ok()) return lines.status();
  const auto loss = [&](std::string_view text) {
    return account.Report(MarkKind::kTruncated, lines.line(), text);
  };
  absl::Status status;
  if (lines.truncated()) status = loss("the text ends in this line");
  if (status.ok() && recording.operations.empty()) status = loss("no operations");
  if (status.ok() && !all_exited) status = loss("the text ends before its processes have exited");
  return status;
}

void SortByEffect(Recording& recording) {
  // By effect, then as they were.
  std::vector<std::pair<uint64_t, std::size_t>> order;
  order.reserve(recording.operations.size());
  for (const Operation& op : recording.operations) {
    order.emplace_back(op.time_ns + op.effect_ns, order.size());
  }
  std::ranges::sort(order);
  std::vector<Operation> sorted;
  sorted.reserve(order.size());
  for (const auto& [effect_ns, index] : order) sorted.push_back(recording.operations[index]);
  recording.operations = std::move(sorted);
}

absl::Status FinishImport(const ImportOptions& options, LossAccount& account,
                          Recording& recording) {
  recording.source.command = options.command;
  recording.source.host = options.host;
  CountFromFirst(recording);
  if (absl::Status status = PlaceSnapshots(options, recording); !status.ok()) return status;
  for (const Image& image : recording.images) {
    if (image.start_known == MapsKnown::kAll || image.origin == Origin::kFork) continue;
    account.Note(
        MarkKind::kStartIncomplete,
        Concat("maps of ", image.comm, " at its start: ",
               image.start_known == MapsKnown::kNone ? "unknown" : "executable ones only"));
  }
  recording.marks = account.Take();
  return CheckRecording(recording);
}

}  // namespace faultline::client
