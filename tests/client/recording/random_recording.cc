// SPDX-License-Identifier: Apache-2.0
//
// An element is drawn by a small generator that begins with the element's number. Numbers of any
// size come: each draw first chooses how many bits it has.
#include "tests/client/recording/random_recording.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/recording.h"
#include "client/recording/writer.h"

namespace faultline::client {
namespace {

class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}
  uint64_t Any() {
    const uint64_t bits = Next() % 65;
    return bits == 0 ? 0 : Next() >> (64 - bits);
  }
  uint32_t Any32() { return static_cast<uint32_t>(Any()); }
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }
  uint32_t IndexOf(std::size_t size) { return static_cast<uint32_t>(Below(size)); }
  uint32_t IndexOrNone(std::size_t size) {
    const uint64_t index = Below(size + 1);
    return index == size ? kNoIndex : static_cast<uint32_t>(index);
  }
  std::string Text() {
    std::string text;
    for (uint64_t left = Below(12); left != 0; --left) text.push_back(static_cast<char>(Next()));
    return text;
  }
  std::vector<Mapping> Maps() {
    std::vector<Mapping> maps;
    uint64_t at = Below(1U << 20);
    for (uint64_t left = Below(5); left != 0; --left) {
      Mapping mapping{.start = at + Below(1U << 16),
                      .end = 0,
                      .rights = static_cast<uint8_t>(Below(16)),
                      .offset = Any(),
                      .device_major = Any32(),
                      .device_minor = Any32(),
                      .inode = Any(),
                      .name = Text()};
      mapping.end = at = mapping.start + 1 + Below(uint64_t{1} << 40);
      maps.push_back(mapping);
    }
    return maps;
  }

 private:
  /// SplitMix64.
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

Operation RandomOperation(const Recording& recording, Draw draw) {
  Operation op;
  const std::span<const OpKind> kinds = AllOpKinds();
  op.kind = kinds[draw.Below(kinds.size())];
  op.thread = draw.IndexOf(recording.threads.size());
  op.image = draw.IndexOf(recording.images.size());
  op.time_ns = draw.Any();
  op.duration_ns = draw.Any();
  op.effect_ns = std::min(op.duration_ns, draw.Any());
  for (std::size_t i = 0; i < ArgumentsOf(op.kind); ++i) op.args[i] = draw.Any();
  if (op.kind == OpKind::kCloneThread || op.kind == OpKind::kFork) {
    op.args[0] = draw.IndexOf(recording.threads.size());
  }
  if (op.kind == OpKind::kFork) op.args[1] = draw.IndexOf(recording.images.size());
  if (op.kind == OpKind::kExec) op.args[0] = draw.IndexOf(recording.images.size());
  op.file = draw.IndexOrNone(recording.files.size());
  switch (draw.Below(3)) {
    case 0:
      op.ended = Ended::kUnknown;
      break;
    case 1:
      op.error = draw.Any32();
      break;
    default:
      op.result = draw.Any();
      break;
  }
  if (draw.Below(2) == 0) op.locks = {draw.Any32(), draw.Any32(), draw.Any32()};
  return op;
}

void AddThreadsAndImages(const RecordingSeed& seed, Recording& recording) {
  // A process for every thread, and one at least.
  for (std::size_t i = 0; i <= seed.threads.size(); ++i) {
    Draw draw(i);
    recording.processes.push_back(
        {.pid = draw.Any32(), .parent = draw.IndexOrNone(seed.threads.size())});
  }
  for (const uint64_t number : seed.threads) {
    Draw draw(number);
    recording.threads.push_back({.tid = draw.Any32(),
                                 .process = draw.IndexOf(recording.processes.size()),
                                 .comm = draw.Text(),
                                 .begin_ns = draw.Any()});
  }
  for (const uint64_t number : seed.images) {
    Draw draw(number);
    Image image;
    image.process = draw.IndexOf(recording.processes.size());
    image.origin = static_cast<Origin>(draw.Below(3));
    image.parent = draw.IndexOrNone(seed.images.size());
    image.begin_ns = draw.Any();
    image.comm = draw.Text();
    image.start_known = static_cast<MapsKnown>(draw.Below(3));
    image.start = draw.Maps();
    image.brk_start = draw.Any();
    image.end_known = draw.Below(2) == 0;
    if (image.end_known) image.end = draw.Maps();
    recording.images.push_back(image);
  }
}

}  // namespace

Recording RecordingFrom(const RecordingSeed& seed) {
  Recording recording;
  Draw source(seed.files.size());
  recording.source.tool = static_cast<Tool>(source.Below(3));
  recording.source.command = source.Text();
  recording.source.host = {
      .kernel = source.Text(), .machine = source.Text(), .cpus = source.Any32()};
  recording.source.clock = static_cast<Clock>(source.Below(2));
  recording.source.origin_ns = source.Any();
  for (const uint64_t number : seed.files) {
    Draw draw(number);
    recording.files.push_back({.name = draw.Text(),
                               .device_major = draw.Any32(),
                               .device_minor = draw.Any32(),
                               .inode = draw.Any()});
  }
  AddThreadsAndImages(seed, recording);
  for (const uint64_t number : seed.marks) {
    Draw draw(number);
    recording.marks.push_back({.kind = static_cast<MarkKind>(1 + draw.Below(8)),
                               .line = draw.Any(),
                               .count = draw.Any(),
                               .text = draw.Text()});
  }
  if (recording.threads.empty() || recording.images.empty()) return recording;
  for (const uint64_t number : seed.operations) {
    recording.operations.push_back(RandomOperation(recording, Draw(number)));
  }
  return recording;
}

std::string BytesOf(const Recording& recording) {
  std::ostringstream out;
  if (const absl::Status status = WriteRecording(recording, out); !status.ok()) {
    throw std::runtime_error(status.ToString());
  }
  return out.str();
}

}  // namespace faultline::client
