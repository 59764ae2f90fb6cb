// SPDX-License-Identifier: Apache-2.0
//
// faultlined as a program: starts it, reads its log until it serves, asks it, signals it, and looks
// at how it exits. Nothing here waits for time: a line of the log or the end of the process is what
// is waited for.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

/// A child process whose stdout and stderr are one pipe.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    std::string program = FAULTLINED;
    std::vector<char*> argv = {program.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }
  ~Child() {
    if (pid_ != 0) {
      kill(pid_, SIGKILL);
      WaitForExit();
    }
    static_cast<void>(fclose(output_));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Reads to the first line that contains `text`, and gives it; empty if there is none.
  std::string ReadTo(const std::string& text) {
    std::array<char, 4096> line{};
    while (fgets(line.data(), line.size(), output_) != nullptr) {
      if (std::string(line.data()).find(text) != std::string::npos) return line.data();
    }
    return {};
  }
  std::string Rest() {
    std::string text;
    std::array<char, 4096> line{};
    while (fgets(line.data(), line.size(), output_) != nullptr) text += line.data();
    return text;
  }
  void Signal(int signal) const { kill(pid_, signal); }
  /// Its exit code; -1 if a signal ended it.
  int WaitForExit() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = 0;
  FILE* output_ = nullptr;
};

struct Outcome {
  int exit_code;
  std::string output;
};

Outcome Faultlined(const std::vector<std::string>& arguments) {
  Child child(arguments);
  std::string output = child.Rest();
  return {child.WaitForExit(), std::move(output)};
}

/// The value of the last field of a log line.
std::string LastField(const std::string& line) {
  const size_t equals = line.rfind('=');
  return equals == std::string::npos ? "" : line.substr(equals + 1, line.size() - equals - 2);
}

TEST(FaultlinedTest, VersionNamesTheBuildAndHelpTheExitCodes) {
  EXPECT_THAT(Faultlined({"--version"}).output, MatchesRegex("faultlined [0-9.]+ \\([^)]+\\)\n"));
  const Outcome help = Faultlined({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.output, AllOf(HasSubstr("Exit codes:"), HasSubstr("--max-threads")));
}

TEST(FaultlinedTest, WrongUsageExitsWithTwoAndPrintedConfigurationWithZero) {
  EXPECT_EQ(Faultlined({"--max-mms=0"}).exit_code, 2);
  const Outcome print = Faultlined({"--print-config", "--max-mms=7"});
  EXPECT_EQ(print.exit_code, 0);
  EXPECT_THAT(print.output, AllOf(StartsWith("listen = "), HasSubstr("max-mms = 7 ")));
}

TEST(FaultlinedTest, SignalDrainsAndExitsWithZero) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Child server({"--listen=127.0.0.1:0", "--metrics=127.0.0.1:0"});
    const std::string address = LastField(server.ReadTo("listening"));
    ASSERT_THAT(server.ReadTo(" serving "), HasSubstr("build="));
    EXPECT_EQ(Faultlined({"--health-check", "--listen=" + address}).exit_code, 0);
    server.Signal(signal);
    EXPECT_THAT(server.Rest(), AllOf(HasSubstr("draining signal=SIG"), HasSubstr("drained")));
    EXPECT_EQ(server.WaitForExit(), 0);
    const Outcome probe = Faultlined({"--health-check", "--listen=" + address});
    EXPECT_EQ(probe.exit_code, 1);
    EXPECT_THAT(probe.output, HasSubstr("no answer from " + address));
  }
}

TEST(FaultlinedTest, AddressThatIsTakenExitsWithThree) {
  Child server({"--listen=127.0.0.1:0", "--metrics=127.0.0.1:0"});
  const std::string metrics = LastField(server.ReadTo("metrics"));
  const std::string listen = LastField(server.ReadTo("listening"));
  const Outcome second = Faultlined({"--listen=" + listen, "--metrics="});
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_THAT(second.output, HasSubstr("cannot listen on " + listen + ": Address already in use"));
  EXPECT_EQ(Faultlined({"--listen=127.0.0.1:0", "--metrics=" + metrics}).exit_code, 3);
}

TEST(FaultlinedTest, JsonLogIsOneObjectPerLine) {
  Child server({"--listen=127.0.0.1:0", "--metrics=", "--log-format=json"});
  const std::string line = server.ReadTo("serving");
  EXPECT_THAT(line, AllOf(StartsWith("{\"time\":\""), HasSubstr("\"level\":\"info\"")));
}

}  // namespace
