// SPDX-License-Identifier: Apache-2.0
//
// Keeps account of which threads live and what they work in while a recording is built, and of
// which file a descriptor was when it was mapped. Importers tell it what they see, in any order
// that a tracer may print: a thread may act before the line that says it was made.
//
// Numbers of threads are used again: a tid is one thread until it exits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"

#include "client/recording/ranges.h"
#include "client/recording/recording.h"

namespace faultline::client {

/// Indices of a live thread, its process and what it works in.
struct LiveThread {
  uint32_t thread = 0;
  uint32_t process = 0;
  uint32_t image = 0;
};

class TableBuilder {
 public:
  explicit TableBuilder(Recording& recording) : recording_(recording) {}

  /// The thread; if it is new, one of process `pid`, which may be new as well, with a first image.
  LiveThread& Of(uint32_t pid, uint32_t tid, std::string_view comm, uint64_t time_ns);
  /// The thread if it lives.
  [[nodiscard]] LiveThread* Find(uint32_t tid);
  /// Of its process; 0 if it does not live.
  [[nodiscard]] uint32_t PidOf(uint32_t tid);

  /// The first thread of a process, whose number was not known. False if it does not live, or there
  /// is such a process.
  bool Rename(uint32_t tid, uint32_t to);

  /// What a new process has: a copy of its parent's image, or, after vfork, that very one.
  enum class Memory : uint8_t { kCopy, kSame };
  /// `tid` of process `pid` was made by `parent`, whose process it may be.
  LiveThread& Fork(const LiveThread& parent, uint32_t pid, uint32_t tid, Memory memory,
                   uint64_t time_ns);
  /// A new image for the thread and its process.
  void Exec(LiveThread& thread, std::string_view comm, uint64_t time_ns);
  /// Whether it was the last one of its process.
  bool Exit(uint32_t tid);

  /// Which file a successful mmap of a descriptor mapped. `identity`: what is known of it. Without,
  /// a fixed mapping within the last one of the same descriptor is of the same file, as loaders do
  /// it, and any other is of a file of its own.
  uint32_t FileOf(const LiveThread& thread, const Operation& op,
                  const std::optional<File>& identity);

  [[nodiscard]] const absl::flat_hash_map<uint32_t, LiveThread>& live() const { return live_; }
  /// The last call: one entry for each file that is known by device and inode, or by its path.
  void JoinFiles();

 private:
  struct LiveProcess {
    uint32_t index = 0;
    uint32_t image = 0;
    uint32_t threads = 0;
  };
  struct Extent {
    uint32_t file = kNoIndex;
    Range range;
  };
  LiveProcess& AddProcess(uint32_t pid, uint32_t image);
  uint32_t AddImage(Image image);
  LiveThread& AddThread(LiveProcess& process, uint32_t tid, std::string_view comm,
                        uint64_t time_ns);

  Recording& recording_;
  absl::flat_hash_map<uint32_t, LiveThread> live_;
  absl::flat_hash_map<uint32_t, LiveProcess> processes_;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, Extent> extents_;
};

}  // namespace faultline::client
