// SPDX-License-Identifier: Apache-2.0
//
// Ranges are cut out of the later maps one after the other; then an mprotect of what is left is
// taken back: the loader makes writable data read-only once it is relocated (RELRO), so a range
// that is now what an mprotect made of it was writable before. Pieces of one file that this makes
// alike were one VMA.
#include "client/recording/initial_maps.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "client/recording/ranges.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

/// The part of `mapping` within `range`.
Mapping Part(const Mapping& mapping, Range range) {
  Mapping part = mapping;
  part.start = std::max(mapping.start, range.start);
  part.end = std::min(mapping.end, range.end);
  if (mapping.inode != 0) part.offset += part.start - mapping.start;
  return part;
}

void CutOut(std::vector<Mapping>& maps, Range range) {
  const auto touched = [&](const Mapping& mapping) {
    return Overlap({mapping.start, mapping.end}, range);
  };
  if (std::ranges::none_of(maps, touched)) return;
  std::vector<Mapping> left;
  for (const Mapping& mapping : maps) {
    if (!touched(mapping)) {
      left.push_back(mapping);
      continue;
    }
    if (mapping.start < range.start) left.push_back(Part(mapping, {mapping.start, range.start}));
    if (range.end < mapping.end) left.push_back(Part(mapping, {range.end, mapping.end}));
  }
  maps = std::move(left);
}

/// Gives what of `maps` lies in `range` and is read-only the right to write.
void MakeWritable(std::vector<Mapping>& maps, Range range) {
  std::vector<Mapping> changed;
  for (const Mapping& mapping : maps) {
    if (!Overlap({mapping.start, mapping.end}, range) || mapping.rights != kRead ||
        mapping.inode == 0) {
      changed.push_back(mapping);
      continue;
    }
    if (mapping.start < range.start) {
      changed.push_back(Part(mapping, {mapping.start, range.start}));
    }
    changed.push_back(Part(mapping, range));
    changed.back().rights |= kWrite;
    if (range.end < mapping.end) changed.push_back(Part(mapping, {range.end, mapping.end}));
  }
  maps = std::move(changed);
}

bool Continues(const Mapping& left, const Mapping& right) {
  return left.end == right.start && left.rights == right.rights && left.inode != 0 &&
         left.inode == right.inode && left.device_major == right.device_major &&
         left.device_minor == right.device_minor &&
         left.offset + (left.end - left.start) == right.offset && left.name == right.name;
}

std::vector<Mapping> Joined(const std::vector<Mapping>& maps) {
  std::vector<Mapping> joined;
  for (const Mapping& mapping : maps) {
    if (!joined.empty() && Continues(joined.back(), mapping)) {
      joined.back().end = mapping.end;
    } else {
      joined.push_back(mapping);
    }
  }
  return joined;
}

}  // namespace

std::vector<Mapping> MapsAtExec(const Recording& recording, uint32_t image,
                                const std::vector<Mapping>& later) {
  std::vector<Mapping> maps = later;
  uint64_t heap_end = recording.images[image].brk_start;
  for (const Operation& op : recording.operations) {
    if (op.image != image || op.error != 0 || op.ended != Ended::kReturned) continue;
    if (op.kind == OpKind::kBrk) heap_end = std::max(heap_end, op.result);
    if (const Range made = MadeBy(op); !made.empty()) CutOut(maps, made);
  }
  CutOut(maps, {PageDown(recording.images[image].brk_start), PageUp(heap_end)});
  for (const Operation& op : recording.operations) {
    if (op.image == image && op.error == 0 && op.kind == OpKind::kMprotect && op.args[2] == kRead) {
      MakeWritable(maps, {PageDown(op.args[0]), PageUp(op.args[0] + op.args[1])});
    }
  }
  return Joined(maps);
}

}  // namespace faultline::client
