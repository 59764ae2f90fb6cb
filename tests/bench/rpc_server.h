// SPDX-License-Identifier: Apache-2.0
//
// The server of rpc_bench: a process of its own, since client and server share cores in a way that
// only the host's accounting can tell apart. It serves what faultlined serves, and beside it, on
// the same port, calls that do nothing (rpc_empty.proto).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace faultline::bench {

class ServerProcess {
 public:
  /// Starts it: a copy of this process, which therefore has not used gRPC yet. Aborts if that
  /// fails.
  ServerProcess();
  /// Drains it; aborts if it did not end well.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// Where it listens, as gRPC's clients take it.
  [[nodiscard]] const std::string& target() const { return target_; }
  /// CPU time that it has used, in nanoseconds.
  [[nodiscard]] int64_t CpuNs() const;

 private:
  pid_t pid_ = -1;
  std::string target_;
};

/// CPU time that this process has used, in nanoseconds.
[[nodiscard]] int64_t OwnCpuNs();

}  // namespace faultline::bench
