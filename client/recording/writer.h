// SPDX-License-Identifier: Apache-2.0
//
// Writes a recording as it comes: elements of tables and operations in any order, as long as what
// an operation names was added before it. Nothing is kept but one chunk of each sort.
//
// A file is whole only if Finish returned OK; until then a reader refuses it as cut.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "client/recording/bytes.h"
#include "client/recording/format.h"
#include "client/recording/operation_columns.h"
#include "client/recording/recording.h"

namespace faultline::client {

class RecordingWriter {
 public:
  /// Writes the head at once. `out` outlives it and is binary.
  RecordingWriter(std::ostream& out, const Source& source);
  RecordingWriter(const RecordingWriter&) = delete;
  RecordingWriter& operator=(const RecordingWriter&) = delete;

  // Each gets the next index of its table. An image's end is not looked at here: see AddEnd.
  void Add(const File& file);
  void Add(const Process& process);
  void Add(const Thread& thread);
  void Add(const Image& image);
  void Add(const Mark& mark);
  void Add(const Operation& op);
  /// What an image ended with, once.
  void AddEnd(uint32_t image, const std::vector<Mapping>& maps);

  /// Writes the rest and the end; the last call. An error is the stream's, or a chunk became too
  /// large, which an image with more than some million mappings does.
  [[nodiscard]] absl::Status Finish();

 private:
  static constexpr std::size_t kTypes = 9;
  struct Table {
    ByteWriter content;
    uint64_t waiting = 0;
    uint64_t added = 0;
  };
  template <class T>
  void AddTo(ChunkType type, const T& element);
  Table& TableOf(ChunkType type) { return tables_[static_cast<std::size_t>(type)]; }
  void FlushTable(ChunkType type);
  void FlushTables();
  void FlushOperations();
  void WriteChunk(ChunkType type, std::string_view content);

  std::ostream& out_;
  std::array<Table, kTypes> tables_;
  OperationEncoder operations_;
  absl::Status status_;
};

/// All of it. INVALID_ARGUMENT if CheckRecording refuses it.
[[nodiscard]] absl::Status WriteRecording(const Recording& recording, std::ostream& out);
/// To a file, which is replaced only when the new one is whole.
[[nodiscard]] absl::Status SaveRecording(const Recording& recording, const std::string& path);

}  // namespace faultline::client
