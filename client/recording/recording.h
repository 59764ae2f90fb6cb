// SPDX-License-Identifier: Apache-2.0
//
// A recording: what the threads of real processes did to their memory, as a tracer saw it on one
// host, in a form that is the same whichever tracer it was.
//
// Things are named by their index: processes, threads, images and files stand in tables, operations
// in one list. An *image* is one state of the memory of processes, from a fork or exec to the exec
// or exit that ends it; a child of vfork works in its parent's image until it execs.
//
// Invariants, which CheckRecording asks for and both writer and reader insist on: operations are in
// the order of their effects, so those of one thread are in its program's order; whatever is named
// by index exists; maps are ascending and do not overlap; times count from Source.origin_ns.
//
// docs/recording-format.md describes the file that a recording is kept in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::client {

/// Where an index names nothing.
inline constexpr uint32_t kNoIndex = UINT32_MAX;

/// What made the recording. Numbers of all enums here are those of the file.
enum class Tool : uint8_t { kUnknown = 0, kPerf = 1, kStrace = 2 };
enum class Clock : uint8_t { kMonotonic = 0, kRealtime = 1 };

/// The machine it was made on; empty or 0 where that is not known.
struct Host {
  std::string kernel;
  std::string machine;
  uint32_t cpus = 0;
  bool operator==(const Host&) const = default;
};

struct Source {
  Tool tool = Tool::kUnknown;
  std::string command;
  Host host;
  /// Times are in nanoseconds of this clock, from here on.
  Clock clock = Clock::kMonotonic;
  uint64_t origin_ns = 0;
  bool operator==(const Source&) const = default;
};

/// Rights of a mapping, as bits.
inline constexpr uint8_t kRead = 1;
inline constexpr uint8_t kWrite = 2;
inline constexpr uint8_t kExecute = 4;
inline constexpr uint8_t kShared = 8;

/// One line of /proc/PID/maps.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint8_t rights = 0;
  uint64_t offset = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;
  std::string name;
  bool operator==(const Mapping&) const = default;
};

/// A file that was mapped. Without inode it is known by having been one descriptor only.
struct File {
  std::string name;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;
  bool operator==(const File&) const = default;
};

struct Process {
  uint32_t pid = 0;
  /// Of the process table, or kNoIndex.
  uint32_t parent = kNoIndex;
  bool operator==(const Process&) const = default;
};

struct Thread {
  uint32_t tid = 0;
  uint32_t process = 0;
  /// Its name when it was first seen.
  std::string comm;
  uint64_t begin_ns = 0;
  bool operator==(const Thread&) const = default;
};

/// How an image began.
enum class Origin : uint8_t { kFirst = 0, kFork = 1, kExec = 2 };

/// How much is known of its maps at that moment. Those of a fork are its parent's.
enum class MapsKnown : uint8_t { kNone = 0, kExecutable = 1, kAll = 2 };

struct Image {
  uint32_t process = 0;
  Origin origin = Origin::kFirst;
  /// The image that was forked or replaced, or kNoIndex.
  uint32_t parent = kNoIndex;
  uint64_t begin_ns = 0;
  /// The name that exec gave.
  std::string comm;
  MapsKnown start_known = MapsKnown::kNone;
  std::vector<Mapping> start;
  /// Where the heap begins; 0 if not known.
  uint64_t brk_start = 0;
  /// `end` is what the image ended with.
  bool end_known = false;
  std::vector<Mapping> end;
  bool operator==(const Image&) const = default;
};

/// How often mmap_lock was taken, by the recording's own events.
struct Acquisitions {
  uint32_t reads = 0;
  uint32_t writes = 0;
  /// Attempts that gave up.
  uint32_t failed = 0;
  bool operator==(const Acquisitions&) const = default;
};

/// What an operation is. In brackets its arguments in order; those of system calls are raw.
enum class OpKind : uint8_t {
  kMmap = 1,          ///< [address, length, prot, flags, fd, offset]
  kMunmap = 2,        ///< [address, length]
  kMprotect = 3,      ///< [address, length, prot]
  kMremap = 4,        ///< [address, old length, new length, flags, new address]
  kMadvise = 5,       ///< [address, length, advice]
  kBrk = 6,           ///< [address]
  kMlock = 7,         ///< [address, length, flags]
  kMunlock = 8,       ///< [address, length]
  kMlockall = 9,      ///< [flags]
  kMunlockall = 10,   ///< []
  kMseal = 11,        ///< [address, length, flags]
  kUserFault = 20,    ///< [address, error code, instruction]
  kKernelFault = 21,  ///< [address, error code]
  kCloneThread = 30,  ///< [thread]: one more thread of the process
  kFork = 31,         ///< [thread, image]: of a new process; vfork: the image is the parent's own
  kExec = 32,         ///< [image, reads before it, 1 if a user fault came right before]
  kExitThread = 33,   ///< [status]
  kExitProcess = 34,  ///< [status]: exit_group, of all threads
};
inline constexpr std::size_t kMaxArguments = 6;

/// Bits of a fault's error code on x86.
inline constexpr uint64_t kFaultPresent = 1;
inline constexpr uint64_t kFaultWrite = 2;
inline constexpr uint64_t kFaultUser = 4;
inline constexpr uint64_t kFaultFetch = 16;

/// Whether a result was seen.
enum class Ended : uint8_t { kReturned = 0, kUnknown = 1 };

struct Operation {
  OpKind kind = OpKind::kUserFault;
  uint32_t thread = 0;
  /// What the thread worked in; for an exec, what it left.
  uint32_t image = 0;
  uint64_t time_ns = 0;
  /// 0 for faults, whose end no tracer reports.
  uint64_t duration_ns = 0;
  /// From its beginning to its effect, as far as is known; at most its duration.
  uint64_t effect_ns = 0;
  /// Those that its kind does not have are 0.
  std::array<uint64_t, kMaxArguments> args{};
  /// Of the file table, for a mapping of a file; else kNoIndex.
  uint32_t file = kNoIndex;
  Ended ended = Ended::kReturned;
  /// What a call returned, if it did and `error` is 0.
  uint64_t result = 0;
  /// The errno, or 0.
  uint32_t error = 0;
  Acquisitions locks;
  bool operator==(const Operation&) const = default;
};

/// Why a recording is not the whole truth. With any of the first four it is lossy.
enum class MarkKind : uint8_t {
  kLostEvents = 1,       ///< the tracer said so; count: how many, 0 if not said
  kTruncated = 2,        ///< the input ends in the middle
  kClockWentBack = 3,    ///< count: lines that did
  kUnreadLine = 4,       ///< lines that are not the tracer's, or calls that cannot be carried
  kFaultsAbsent = 5,     ///< the tracer does not see faults
  kLocksAbsent = 6,      ///< the recording has no mmap_lock events
  kStartIncomplete = 7,  ///< an image's maps at its start are not all known
  kOtherLocks = 8,       ///< acquisitions of mmap_lock by what was not recorded; count: how many
};

struct Mark {
  MarkKind kind = MarkKind::kLostEvents;
  /// The line of the input, from 1; 0 for the whole of it.
  uint64_t line = 0;
  uint64_t count = 0;
  std::string text;
  bool operator==(const Mark&) const = default;
};

struct Recording {
  Source source;
  std::vector<File> files;
  std::vector<Process> processes;
  std::vector<Thread> threads;
  std::vector<Image> images;
  std::vector<Operation> operations;
  std::vector<Mark> marks;
  bool operator==(const Recording&) const = default;

  /// Whether something that happened may be missing.
  [[nodiscard]] bool lossy() const;
};

/// Its name as in reports, "mmap" or "user fault"; empty for a number that is none of them.
[[nodiscard]] std::string_view NameOf(OpKind kind);
/// How many arguments it has.
[[nodiscard]] std::size_t ArgumentsOf(OpKind kind);
[[nodiscard]] std::string_view NameOf(MarkKind kind);
[[nodiscard]] bool IsSystemCall(OpKind kind);
[[nodiscard]] inline bool IsFault(OpKind kind) {
  return kind == OpKind::kUserFault || kind == OpKind::kKernelFault;
}
/// All kinds, ascending.
[[nodiscard]] std::span<const OpKind> AllOpKinds();

/// "rw-p", as the kernel prints it.
[[nodiscard]] std::string RightsText(uint8_t rights);

}  // namespace faultline::client
