// SPDX-License-Identifier: Apache-2.0
//
// How the oracle hands an operation to a process that it serves: a few words of shared memory and
// a futex. All processes run on one CPU, so a hand-off is one wake and one switch; spinning would
// only keep the partner from running, and the kernel's per-CPU batches of pages behave the same
// in every run.
//
// Protocol: `turn` says whose move it is. The side that has the turn owns every other field; it
// gives the turn away with a release store that pairs with the acquire load in WaitForTurn.
#pragma once

#include <atomic>
#include <cstdint>

#include "tests/oracle/operation.h"

namespace faultline::oracle {

enum class Turn : uint32_t { kOracle, kProcess };

/// What a process is asked to do. Operations are passed on as they are; the rest is housekeeping.
enum class Command : uint32_t {
  kOperation,
  kSpawn,  // the zygote: start process args[0] of family args[1]
};

struct Request {
  Command command = Command::kOperation;
  OpKind kind = OpKind::kMunlockall;
  bool keep_elsewhere = false;  // leave a mapping that lies outside of the zone
  uint64_t args[6] = {};
};

struct Reply {
  int64_t result = 0;  // as the system call returned it
  int signal = 0;
  int si_code = 0;
  uint64_t fault_address = 0;
  uint64_t word = 0;
};

struct alignas(64) Mailbox {
  std::atomic<Turn> turn{Turn::kOracle};
  Request request;
  Reply reply;
};

inline constexpr int kMaxFamilies = 4;

/// Lies in shared memory, mapped before the first fork.
struct SharedState {
  Mailbox zygote;
  Mailbox processes[kMaxFamilies][kMaxProcesses];
  int oracle_pid = 0;
  int read_write_fds[kMaxFamilies] = {};
  int read_only_fds[kMaxFamilies] = {};
};

/// Gives the turn to `turn` and wakes its side.
void PassTurn(Mailbox& mailbox, Turn turn);

/// Waits until it is `turn`'s move, at most `timeout_ms` milliseconds; 0: forever. False: it is
/// not.
bool WaitForTurn(Mailbox& mailbox, Turn turn, int timeout_ms);

}  // namespace faultline::oracle
