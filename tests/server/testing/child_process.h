// SPDX-License-Identifier: Apache-2.0
//
// A program run as a child, whose lines of output a test reads, and what the host knows about it.
// It never outlives its object: it is killed at the end, if it is still there.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace faultline::server::testing {

class ChildProcess {
 public:
  enum class Output { kStdout, kStderr };

  /// Starts `command`; `output` is what ReadLine reads, the other one is this process's.
  ChildProcess(const std::vector<std::string>& command, Output output);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// The next line without its end; empty at the end of the output.
  [[nodiscard]] std::string ReadLine();
  /// Reads up to the first line that contains `text`; false if there is none.
  [[nodiscard]] bool ReadUntil(const std::string& text);
  void Signal(int signal) const;
  /// Waits for its end; as a shell would say it: its code, or 128 and the signal.
  int Wait();

  /// Of the host's, now.
  [[nodiscard]] size_t CountDescriptors() const { return CountEntries("fd"); }
  [[nodiscard]] size_t CountThreads() const { return CountEntries("task"); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  [[nodiscard]] size_t CountEntries(const char* folder) const;

  pid_t pid_ = -1;
  int output_ = -1;
  std::string read_;  ///< of the output, and not returned yet
};

}  // namespace faultline::server::testing
