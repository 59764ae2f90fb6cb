// SPDX-License-Identifier: Apache-2.0
//
// Chunks are written when they are full. Before a chunk of operations all tables are written, so
// that a reader knows what operations name; and an image's end comes after the image, since chunks
// of tables are written in the order of their types.
#include "client/recording/writer.h"

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/bytes.h"
#include "client/recording/check.h"
#include "client/recording/concat.h"
#include "client/recording/format.h"
#include "client/recording/recording.h"
#include "client/recording/table_codec.h"

namespace faultline::client {
namespace {

std::string Deflated(std::string_view content) {
  uLongf size = compressBound(content.size());
  std::string deflated(size, '\0');
  // Neither memory nor the output can be too small for compress2, and the level is a valid one.
  (void)compress2(reinterpret_cast<Bytef*>(deflated.data()), &size,
                  reinterpret_cast<const Bytef*>(content.data()), content.size(),
                  Z_BEST_COMPRESSION);
  deflated.resize(size);
  return deflated;
}

}  // namespace

RecordingWriter::RecordingWriter(std::ostream& out, const Source& source) : out_(out) {
  ByteWriter head;
  head.Bytes(kMagic);
  head.Number(kFormatVersion);
  out_ << head.bytes();
  ByteWriter content;
  Encode(source, content);
  WriteChunk(ChunkType::kSource, content.bytes());
}

void RecordingWriter::Add(const File& file) { AddTo(ChunkType::kFiles, file); }
void RecordingWriter::Add(const Process& process) { AddTo(ChunkType::kProcesses, process); }
void RecordingWriter::Add(const Thread& thread) { AddTo(ChunkType::kThreads, thread); }
void RecordingWriter::Add(const Image& image) { AddTo(ChunkType::kImages, image); }
void RecordingWriter::Add(const Mark& mark) { AddTo(ChunkType::kMarks, mark); }

void RecordingWriter::Add(const Operation& op) {
  operations_.Add(op);
  ++TableOf(ChunkType::kOperations).added;
  if (operations_.operations() == kChunkOperations) FlushOperations();
}

void RecordingWriter::AddEnd(uint32_t image, const std::vector<Mapping>& maps) {
  TableOf(ChunkType::kImageEnds).content.Number(image);
  AddTo(ChunkType::kImageEnds, maps);
}

absl::Status RecordingWriter::Finish() {
  FlushOperations();
  FlushTables();
  ByteWriter counts;
  for (const Table& table : tables_) counts.Number(table.added);
  WriteChunk(ChunkType::kEnd, counts.bytes());
  out_.flush();
  if (!out_.good()) status_.Update(absl::DataLossError("the recording could not be written"));
  return status_;
}

template <class T>
void RecordingWriter::AddTo(ChunkType type, const T& element) {
  Table& table = TableOf(type);
  Encode(element, table.content);
  ++table.waiting;
  ++table.added;
  // All of them: an end must not be written before its image.
  if (table.content.bytes().size() >= kFullTableBytes) FlushTables();
}

void RecordingWriter::FlushTable(ChunkType type) {
  Table& table = TableOf(type);
  if (table.waiting == 0) return;
  ByteWriter content;
  content.Number(table.waiting);
  content.Bytes(table.content.bytes());
  WriteChunk(type, content.bytes());
  table.content.Clear();
  table.waiting = 0;
}

void RecordingWriter::FlushTables() {
  for (const ChunkType type : {ChunkType::kFiles, ChunkType::kProcesses, ChunkType::kThreads,
                               ChunkType::kImages, ChunkType::kImageEnds, ChunkType::kMarks}) {
    FlushTable(type);
  }
}

void RecordingWriter::FlushOperations() {
  FlushTables();
  if (operations_.operations() != 0) WriteChunk(ChunkType::kOperations, operations_.Take());
}

void RecordingWriter::WriteChunk(ChunkType type, std::string_view content) {
  if (content.size() > kMaxChunkBytes) {
    status_.Update(absl::ResourceExhaustedError(Concat(
        "a chunk of ", NameOf(type), " of ", content.size(), " bytes, at most ", kMaxChunkBytes)));
    return;
  }
  const std::string deflated = Deflated(content);
  ByteWriter chunk;
  chunk.Number(static_cast<uint64_t>(type));
  chunk.Number(content.size());
  chunk.String(deflated);
  const std::string& bytes = chunk.bytes();
  const uLong sum = crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()),
                          static_cast<uInt>(bytes.size()));
  out_ << bytes;
  for (int shift = 0; shift < 32; shift += 8) out_.put(static_cast<char>((sum >> shift) & 0xff));
}

absl::Status WriteRecording(const Recording& recording, std::ostream& out) {
  if (absl::Status status = CheckRecording(recording); !status.ok()) return status;
  RecordingWriter writer(out, recording.source);
  for (const File& file : recording.files) writer.Add(file);
  for (const Process& process : recording.processes) writer.Add(process);
  for (const Thread& thread : recording.threads) writer.Add(thread);
  for (const Image& image : recording.images) writer.Add(image);
  for (const Mark& mark : recording.marks) writer.Add(mark);
  for (const Operation& op : recording.operations) writer.Add(op);
  for (std::size_t i = 0; i < recording.images.size(); ++i) {
    const Image& image = recording.images[i];
    if (image.end_known) writer.AddEnd(static_cast<uint32_t>(i), image.end);
  }
  return writer.Finish();
}

absl::Status SaveRecording(const Recording& recording, const std::string& path) {
  const std::string draft = path + ".part";
  std::ofstream out(draft, std::ios::binary | std::ios::trunc);
  if (!out.is_open()) return absl::NotFoundError(Concat(path, ": cannot be written"));
  absl::Status status = WriteRecording(recording, out);
  out.close();
  if (status.ok() && (out.fail() || std::rename(draft.c_str(), path.c_str()) != 0)) {
    status = absl::DataLossError("cannot be written");
  }
  if (status.ok()) return status;
  std::remove(draft.c_str());
  return {status.code(), Concat(path, ": ", status.message())};
}

}  // namespace faultline::client
