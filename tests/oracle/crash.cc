// SPDX-License-Identifier: Apache-2.0
//
// The handler. A candidate counts if its process is killed by SIGABRT or SIGSEGV; one that hangs
// is stopped by an alarm, which outlives exec, and does not count.
#include "tests/oracle/crash.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "tests/oracle/shrink.h"

namespace faultline::oracle {
namespace {

constexpr unsigned kReplaySeconds = 20;

CrashTrail* current_trail = nullptr;

CrashOptions& Settings() {
  static auto& settings = *new CrashOptions;
  return settings;
}

/// Runs the program on the sequence; says whether that crashed.
bool Crashes(std::span<const Operation> ops, const std::string& path) {
  {
    std::ofstream file(path);
    for (const Operation& op : ops) file << Format(op) << '\n';
  }
  std::vector<std::string> args = {"host_differential", absl::StrCat("--replay=", path),
                                   absl::StrCat("--mode=", Settings().mode),
                                   absl::StrCat("--against=", Settings().against), "--shrink=0"};
  args.insert(args.end(), Settings().flags.begin(), Settings().flags.end());
  std::vector<char*> argv;
  argv.reserve(args.size() + 1);
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    alarm(kReplaySeconds);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && (WTERMSIG(status) == SIGABRT || WTERMSIG(status) == SIGSEGV);
}

Record ShrinkCrash(const std::vector<Operation>& ops, const std::string& path) {
  const Replayer replay = [&path](std::span<const Operation> candidate) {
    Record record;
    record.ops.assign(candidate.begin(), candidate.end());
    if (Crashes(candidate, path)) record.difference = "crash";
    return record;
  };
  return Shrink({.ops = ops, .outcomes = {}, .difference = "crash", .memory = {}}, replay,
                Settings().budget);
}

void HandleCrash(int signal) {
  std::signal(signal, SIG_DFL);
  if (current_trail == nullptr) {
    std::raise(signal);
    return;
  }
  char path[] = "/tmp/host_differential_XXXXXX";
  const int fd = mkstemp(path);
  if (fd >= 0) close(fd);
  const Record record = ShrinkCrash(current_trail->ops(), path);
  unlink(path);
  absl::PrintF("A crash (signal %d), with %s; %d operations lead to it:\n", signal, Settings().seed,
               record.ops.size());
  for (const Operation& op : record.ops) absl::PrintF("%s\n", Format(op));
  absl::PrintF("crashed\n");
  std::fflush(stdout);
  _exit(1);
}

}  // namespace

void ReportCrashes(CrashOptions options) {
  Settings() = std::move(options);
  std::signal(SIGABRT, HandleCrash);
  std::signal(SIGSEGV, HandleCrash);
}

CrashTrail::CrashTrail() : outer_(current_trail) { current_trail = this; }

CrashTrail::~CrashTrail() { current_trail = outer_; }

}  // namespace faultline::oracle
