// SPDX-License-Identifier: Apache-2.0
//
// One step of a random sequence: a system call of memory management with its raw arguments, a
// load or a store, a fork, or the end of a process. It prints as one line in the manner of strace
// and can be parsed back, so that a sequence which was printed can be replayed.
//
// In the placement mode addresses depend on the run. There an operation names its result with a
// label, and later ones say "$3+0x1000": 0x1000 behind what the operation labelled $3 returned.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::oracle {

inline constexpr int kMaxProcesses = 3;

enum class OpKind : uint8_t {
  kMmap,        // address, length, prot, flags, fd, offset
  kMunmap,      // address, length
  kMprotect,    // address, length, prot
  kMremap,      // address, old length, new length, flags, new address
  kMadvise,     // address, length, advice
  kMseal,       // address, length, flags
  kMlock,       // address, length
  kMlock2,      // address, length, flags
  kMunlock,     // address, length
  kMlockall,    // flags
  kMunlockall,  //
  kBrk,         // address
  kRead,        // address
  kWrite,       // address, word
  kFork,        // index of the new process
  kExit,        //
};
inline constexpr int kOpKinds = static_cast<int>(OpKind::kExit) + 1;

/// File descriptors that every subject knows; any other number is a bad one.
inline constexpr uint64_t kNoFile = static_cast<uint64_t>(-1);
inline constexpr uint64_t kFileFd = 100;          // shared memory, open for reading and writing
inline constexpr uint64_t kReadOnlyFileFd = 101;  // the same file, open for reading
inline constexpr uint64_t kFilePages = 20;        // whole pages; a part of one more follows
inline constexpr uint64_t kFileSize = kFilePages * 4096 + 100;
/// The word at the start of each page of the file; all else in it is zero.
constexpr uint64_t FileWord(uint64_t page) { return 0xf11e000000000000 + page; }

/// The label that stands for the program break at the start of a run.
inline constexpr int kBreakLabel = 1'000'000;

struct Operation {
  OpKind kind = OpKind::kMunlockall;
  int process = 0;
  std::array<uint64_t, 6> args = {};
  int label = 0;        // names the address returned; 0: unnamed
  int base = 0;         // args[0] is relative to this label; 0: absolute
  int target_base = 0;  // the same of args[4], the new address of mremap

  bool operator==(const Operation&) const = default;
};

/// "p0 munmap(0x101d0000, 0x1000)".
std::string Format(const Operation& op);

/// Reads what Format wrote. Anything behind the closing parenthesis (a result, say) is ignored.
std::optional<Operation> ParseOperation(std::string_view line);

/// Reads a whole text, one operation per line; empty lines and those that start with '#' are
/// skipped. On a bad line returns nothing and sets `bad_line` to it.
std::optional<std::vector<Operation>> ParseSequence(std::string_view text, std::string* bad_line);

std::string_view KindName(OpKind kind);

}  // namespace faultline::oracle
