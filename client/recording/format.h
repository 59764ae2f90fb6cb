// SPDX-License-Identifier: Apache-2.0
//
// The frame of a recording's file, for its writer and its reader: magic and version, then chunks.
// docs/recording-format.md describes all of it.
//
//   file   kMagic, version (varint), chunk...
//   chunk  type (varint), size of the content (varint), size as it stands here (varint), the
//          content deflated, CRC-32 of everything in the chunk before it (4 bytes, lowest first)
//
// The last chunk is kEnd and holds how many elements of each table there were, so a file that ends
// at the end of a chunk is known to be cut, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace faultline::client {

/// The line break and the byte that is no text show a file that went through a text conversion.
inline constexpr std::string_view kMagic{"FLTREC\r\n\x89\n", 10};
inline constexpr uint64_t kFormatVersion = 1;

enum class ChunkType : uint8_t {
  kEnd = 0,
  kSource = 1,
  kFiles = 2,
  kProcesses = 3,
  kThreads = 4,
  kImages = 5,
  kImageEnds = 6,
  kOperations = 7,
  kMarks = 8,
};
[[nodiscard]] std::string_view NameOf(ChunkType type);

/// Operations in a chunk at most: differences begin anew in each.
inline constexpr std::size_t kChunkOperations = 8192;
/// The content of a chunk at most; a reader allocates no more than that for one.
inline constexpr uint64_t kMaxChunkBytes = uint64_t{1} << 26;
/// What a table's chunk is sent at, so that it stays below that.
inline constexpr std::size_t kFullTableBytes = std::size_t{1} << 20;
/// A string at most: a name, a command.
inline constexpr std::size_t kMaxStringBytes = std::size_t{1} << 16;

}  // namespace faultline::client
