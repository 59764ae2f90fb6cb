// SPDX-License-Identifier: Apache-2.0
//
// How the elements of a recording's tables are written, each type by a pair of functions that go
// through its fields in the same order.
//
// A decoder reads bytes that may be anything: it returns whatever it got, and the reader that it
// was given is not ok() afterwards if that was not all there. Numbers of enums are checked here,
// indices and the order of maps by CheckRecording.
#pragma once

#include <cstdint>
#include <vector>

#include "client/recording/bytes.h"
#include "client/recording/recording.h"

namespace faultline::client {

void Encode(const Source& source, ByteWriter& to);
void Encode(const File& file, ByteWriter& to);
void Encode(const Process& process, ByteWriter& to);
void Encode(const Thread& thread, ByteWriter& to);
/// Without its end, which is sent when it is known.
void Encode(const Image& image, ByteWriter& to);
void Encode(const Mark& mark, ByteWriter& to);
void Encode(const std::vector<Mapping>& maps, ByteWriter& to);

void Decode(ByteReader& from, Source& source);
void Decode(ByteReader& from, File& file);
void Decode(ByteReader& from, Process& process);
void Decode(ByteReader& from, Thread& thread);
void Decode(ByteReader& from, Image& image);
void Decode(ByteReader& from, Mark& mark);
void Decode(ByteReader& from, std::vector<Mapping>& maps);

}  // namespace faultline::client
