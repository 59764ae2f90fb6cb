// SPDX-License-Identifier: Apache-2.0
//
// Children by posix_spawn; see child_process.h. Their output comes through a pipe that they alone
// write to, so that its end is theirs.
#include "tests/server/testing/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include <absl/strings/str_cat.h>

#include "core/base/check.h"

namespace faultline::server::testing {

ChildProcess::ChildProcess(const std::vector<std::string>& command, Output output) {
  int pipe[2];
  MM_CHECK(pipe2(pipe, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1],
                                   output == Output::kStdout ? STDOUT_FILENO : STDERR_FILENO);
  std::vector<char*> arguments;
  std::vector<std::string> copies = command;  // posix_spawn's argv is not const
  arguments.reserve(copies.size() + 1);
  for (std::string& argument : copies) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  MM_CHECK(posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe[1]);
  output_ = pipe[0];
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Wait();
  }
  close(output_);
}

std::string ChildProcess::ReadLine() {
  while (true) {
    const size_t end = read_.find('\n');
    if (end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    char buffer[4096];
    const ssize_t count = read(output_, buffer, sizeof buffer);
    if (count <= 0) return std::exchange(read_, {});
    read_.append(buffer, static_cast<size_t>(count));
  }
}

bool ChildProcess::ReadUntil(const std::string& text) {
  for (std::string line = ReadLine(); !line.empty(); line = ReadLine()) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

void ChildProcess::Signal(int signal) const { kill(pid_, signal); }

int ChildProcess::Wait() {
  int status = 0;
  MM_CHECK(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

size_t ChildProcess::CountEntries(const char* folder) const {
  size_t count = 0;
  std::error_code gone;
  const std::filesystem::directory_iterator all(absl::StrCat("/proc/", pid_, "/", folder), gone);
  for ([[maybe_unused]] const auto& entry : all) ++count;
  return count;
}

}  // namespace faultline::server::testing
