// SPDX-License-Identifier: Apache-2.0
//
// A chunk is taken in four steps, each of which may refuse it: its frame (lengths within the file),
// its sum, its content deflated (no larger than it says and than the format allows), its elements.
// At the end the counts of the last chunk must be those of the tables, and CheckRecording has the
// last word, about indices.
//
// Memory: deflate makes at most 1032 bytes of one, so a larger promise is refused before there is a
// buffer for it; an element takes at least a byte of its chunk.
#include "client/recording/reader.h"

#include <zlib.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/recording/bytes.h"
#include "client/recording/check.h"
#include "client/recording/concat.h"
#include "client/recording/format.h"
#include "client/recording/operation_columns.h"
#include "client/recording/recording.h"
#include "client/recording/table_codec.h"

namespace faultline::client {
namespace {

constexpr uint64_t kMaxInflation = 1032;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes), reader_(bytes) {}

  absl::StatusOr<Recording> Read() {
    if (absl::Status status = Head(); !status.ok()) return status;
    while (!ended_) {
      chunk_at_ = reader_.at();
      chunk_name_ = "unknown";
      if (absl::Status status = Chunk(); !status.ok()) {
        return absl::Status(status.code(), Concat("chunk ", chunks_, " (", chunk_name_,
                                                  ") at byte ", chunk_at_, ": ", status.message()));
      }
      ++chunks_;
    }
    if (reader_.left() != 0) {
      return absl::DataLossError(
          Concat(reader_.left(), " bytes follow the end at byte ", reader_.at()));
    }
    if (absl::Status status = CheckRecording(recording_); !status.ok()) return status;
    return std::move(recording_);
  }

 private:
  absl::Status Head() {
    if (!bytes_.starts_with(kMagic)) {
      if (kMagic.starts_with(bytes_)) {
        return absl::DataLossError(Concat("ends at byte ", bytes_.size(), ", in its head"));
      }
      return absl::InvalidArgumentError("not a recording: its first bytes are others");
    }
    (void)reader_.Bytes(kMagic.size());
    const uint64_t version = reader_.Number();
    if (!reader_.ok()) {
      return absl::DataLossError(Concat("ends at byte ", bytes_.size(), ", in its head"));
    }
    if (version != kFormatVersion) {
      return absl::UnimplementedError(
          Concat("a recording of version ", version, ", this program reads ", kFormatVersion));
    }
    return absl::OkStatus();
  }

  absl::Status Chunk() {
    const uint64_t type = reader_.Number();
    const uint64_t size = reader_.Number();
    const uint64_t deflated_size = reader_.Number();
    if (!reader_.ok()) return Cut();
    if (type > static_cast<uint64_t>(ChunkType::kMarks)) {
      return absl::DataLossError(Concat("no type is ", type));
    }
    chunk_name_ = NameOf(static_cast<ChunkType>(type));
    const std::string_view deflated = reader_.Bytes(deflated_size);
    const std::size_t end = reader_.at();
    const std::string_view sum = reader_.Bytes(4);
    if (!reader_.ok()) return Cut();
    if (Sum(bytes_.substr(chunk_at_, end - chunk_at_)) != Little(sum)) {
      return absl::DataLossError("its checksum is another: damaged");
    }
    if (size > kMaxChunkBytes || size > kMaxInflation * (deflated.size() + 1)) {
      return absl::DataLossError(Concat(size, " bytes are more than it can hold"));
    }
    std::string content(static_cast<std::size_t>(size), '\0');
    uLongf inflated = size;
    const int error = uncompress(reinterpret_cast<Bytef*>(content.data()), &inflated,
                                 reinterpret_cast<const Bytef*>(deflated.data()), deflated.size());
    if (error != Z_OK || inflated != size) {
      return absl::DataLossError("does not inflate to what it says");
    }
    return Content(static_cast<ChunkType>(type), content);
  }

  absl::Status Content(ChunkType type, std::string_view content) {
    if ((type == ChunkType::kSource) != (chunks_ == 0)) {
      return absl::DataLossError("the source comes first and once");
    }
    ByteReader from(content);
    switch (type) {
      case ChunkType::kSource:
        Decode(from, recording_.source);
        break;
      case ChunkType::kFiles:
        Table(from, recording_.files);
        break;
      case ChunkType::kProcesses:
        Table(from, recording_.processes);
        break;
      case ChunkType::kThreads:
        Table(from, recording_.threads);
        break;
      case ChunkType::kImages:
        Table(from, recording_.images);
        break;
      case ChunkType::kMarks:
        Table(from, recording_.marks);
        break;
      case ChunkType::kImageEnds:
        ImageEnds(from);
        break;
      case ChunkType::kOperations:
        return DecodeOperations(content, recording_.operations);
      case ChunkType::kEnd:
        return End(from);
    }
    if (!from.ok()) return absl::DataLossError("its content is bad");
    if (from.left() != 0) return absl::DataLossError("bytes follow its content");
    return absl::OkStatus();
  }

  template <class T>
  static void Table(ByteReader& from, std::vector<T>& table) {
    const uint64_t count = from.Count();
    for (uint64_t i = 0; i < count && from.ok(); ++i) Decode(from, table.emplace_back());
  }

  void ImageEnds(ByteReader& from) {
    const uint64_t count = from.Count();
    for (uint64_t i = 0; i < count && from.ok(); ++i) {
      const uint64_t index = from.Number();
      if (index >= recording_.images.size() || recording_.images[index].end_known) {
        from.Fail();
        return;
      }
      recording_.images[index].end_known = true;
      ++ends_;
      Decode(from, recording_.images[index].end);
    }
  }

  absl::Status End(ByteReader& from) {
    const std::array<std::size_t, 9> counts = {0,
                                               0,
                                               recording_.files.size(),
                                               recording_.processes.size(),
                                               recording_.threads.size(),
                                               recording_.images.size(),
                                               ends_,
                                               recording_.operations.size(),
                                               recording_.marks.size()};
    for (std::size_t type = 0; type < counts.size(); ++type) {
      const uint64_t count = from.Number();
      if (from.ok() && count == counts[type]) continue;
      return absl::DataLossError(Concat("says ", count, " ", NameOf(static_cast<ChunkType>(type)),
                                        ", there are ", counts[type]));
    }
    ended_ = true;
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Cut() const {
    return absl::DataLossError(Concat("the file ends in it, at byte ", bytes_.size()));
  }
  static uint64_t Sum(std::string_view bytes) {
    return crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()),
                   bytes.size());
  }
  static uint64_t Little(std::string_view bytes) {
    uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    return value;
  }

  std::string_view bytes_;
  ByteReader reader_;
  Recording recording_;
  std::size_t chunk_at_ = 0;
  std::size_t chunks_ = 0;
  std::size_t ends_ = 0;
  std::string_view chunk_name_;
  bool ended_ = false;
};

}  // namespace

std::string_view NameOf(ChunkType type) {
  switch (type) {
    case ChunkType::kEnd:
      return "end";
    case ChunkType::kSource:
      return "source";
    case ChunkType::kFiles:
      return "files";
    case ChunkType::kProcesses:
      return "processes";
    case ChunkType::kThreads:
      return "threads";
    case ChunkType::kImages:
      return "images";
    case ChunkType::kImageEnds:
      return "image ends";
    case ChunkType::kOperations:
      return "operations";
    case ChunkType::kMarks:
      return "marks";
  }
  return "unknown";
}

absl::StatusOr<Recording> ReadRecording(std::string_view bytes) { return Reader(bytes).Read(); }

absl::StatusOr<Recording> LoadRecording(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in.is_open()) return absl::NotFoundError(Concat(path, ": cannot be opened"));
  const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) return absl::DataLossError(Concat(path, ": cannot be read"));
  absl::StatusOr<Recording> recording = ReadRecording(bytes);
  if (recording.ok()) return recording;
  return absl::Status(recording.status().code(), Concat(path, ": ", recording.status().message()));
}

}  // namespace faultline::client
