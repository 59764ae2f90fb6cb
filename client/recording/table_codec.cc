// SPDX-License-Identifier: Apache-2.0
//
// Fields of the tables in the order in which docs/recording-format.md lists them. An index that may
// be kNoIndex is written plus one, as 32 bits, so that none is the short 0.
//
// Invariant: Decode of what Encode wrote gives an equal element.
#include "client/recording/table_codec.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/recording/bytes.h"
#include "client/recording/format.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

constexpr uint8_t kAllRights = kRead | kWrite | kExecute | kShared;

void PutIndex(uint32_t index, ByteWriter& to) { to.Number(static_cast<uint32_t>(index + 1)); }
uint32_t GetIndex(ByteReader& from) { return from.Number32() - 1; }

std::string GetString(ByteReader& from) {
  const std::string_view text = from.String();
  if (text.size() > kMaxStringBytes) from.Fail();
  return std::string(text);
}

template <class E>
E GetEnum(ByteReader& from, E last) {
  return static_cast<E>(from.NumberUpTo(static_cast<uint64_t>(last)));
}

}  // namespace

void Encode(const Source& source, ByteWriter& to) {
  to.Number(static_cast<uint64_t>(source.tool));
  to.String(source.command);
  to.String(source.host.kernel);
  to.String(source.host.machine);
  to.Number(source.host.cpus);
  to.Number(static_cast<uint64_t>(source.clock));
  to.Number(source.origin_ns);
}

void Decode(ByteReader& from, Source& source) {
  source.tool = GetEnum(from, Tool::kStrace);
  source.command = GetString(from);
  source.host.kernel = GetString(from);
  source.host.machine = GetString(from);
  source.host.cpus = from.Number32();
  source.clock = GetEnum(from, Clock::kRealtime);
  source.origin_ns = from.Number();
}

void Encode(const File& file, ByteWriter& to) {
  to.String(file.name);
  to.Number(file.device_major);
  to.Number(file.device_minor);
  to.Number(file.inode);
}

void Decode(ByteReader& from, File& file) {
  file.name = GetString(from);
  file.device_major = from.Number32();
  file.device_minor = from.Number32();
  file.inode = from.Number();
}

void Encode(const Process& process, ByteWriter& to) {
  to.Number(process.pid);
  PutIndex(process.parent, to);
}

void Decode(ByteReader& from, Process& process) {
  process.pid = from.Number32();
  process.parent = GetIndex(from);
}

void Encode(const Thread& thread, ByteWriter& to) {
  to.Number(thread.tid);
  to.Number(thread.process);
  to.String(thread.comm);
  to.Number(thread.begin_ns);
}

void Decode(ByteReader& from, Thread& thread) {
  thread.tid = from.Number32();
  thread.process = from.Number32();
  thread.comm = GetString(from);
  thread.begin_ns = from.Number();
}

void Encode(const Image& image, ByteWriter& to) {
  to.Number(image.process);
  to.Number(static_cast<uint64_t>(image.origin));
  PutIndex(image.parent, to);
  to.Number(image.begin_ns);
  to.String(image.comm);
  to.Number(static_cast<uint64_t>(image.start_known));
  Encode(image.start, to);
  to.Number(image.brk_start);
}

void Decode(ByteReader& from, Image& image) {
  image.process = from.Number32();
  image.origin = GetEnum(from, Origin::kExec);
  image.parent = GetIndex(from);
  image.begin_ns = from.Number();
  image.comm = GetString(from);
  image.start_known = GetEnum(from, MapsKnown::kAll);
  Decode(from, image.start);
  image.brk_start = from.Number();
}

void Encode(const Mark& mark, ByteWriter& to) {
  to.Number(static_cast<uint64_t>(mark.kind));
  to.Number(mark.line);
  to.Number(mark.count);
  to.String(mark.text);
}

void Decode(ByteReader& from, Mark& mark) {
  mark.kind = GetEnum(from, MarkKind::kOtherLocks);
  if (mark.kind < MarkKind::kLostEvents) from.Fail();
  mark.line = from.Number();
  mark.count = from.Number();
  mark.text = GetString(from);
}

void Encode(const std::vector<Mapping>& maps, ByteWriter& to) {
  to.Number(maps.size());
  uint64_t before = 0;
  for (const Mapping& mapping : maps) {
    to.Difference(mapping.start, before);
    to.Difference(mapping.end, mapping.start);
    before = mapping.end;
    to.Number(mapping.rights);
    to.Number(mapping.offset);
    to.Number(mapping.device_major);
    to.Number(mapping.device_minor);
    to.Number(mapping.inode);
    to.String(mapping.name);
  }
}

void Decode(ByteReader& from, std::vector<Mapping>& maps) {
  const uint64_t count = from.Count();
  uint64_t before = 0;
  for (uint64_t i = 0; i < count && from.ok(); ++i) {
    Mapping mapping;
    mapping.start = from.Difference(before);
    mapping.end = from.Difference(mapping.start);
    before = mapping.end;
    mapping.rights = static_cast<uint8_t>(from.NumberUpTo(kAllRights));
    mapping.offset = from.Number();
    mapping.device_major = from.Number32();
    mapping.device_minor = from.Number32();
    mapping.inode = from.Number();
    mapping.name = GetString(from);
    maps.push_back(std::move(mapping));
  }
}

}  // namespace faultline::client
