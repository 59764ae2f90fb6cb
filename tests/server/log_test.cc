// SPDX-License-Identifier: Apache-2.0
//
// The log: how lines look, that no text breaks them, and that a reader who does not read holds
// nobody up. Lines go into a pipe; its writer is the log's own thread.
#include "server/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <absl/strings/str_split.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace faultline::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

/// A log into a pipe.
class Piped {
 public:
  explicit Piped(LogOptions options) {
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
    options.descriptor = ends_[1];
    log_ = std::make_unique<Log>(options);
  }
  ~Piped() {
    close(ends_[0]);
    if (log_ != nullptr) Lines();
  }
  Piped(const Piped&) = delete;
  Piped& operator=(const Piped&) = delete;

  [[nodiscard]] Log& log() { return *log_; }
  [[nodiscard]] int PipeBytes() const { return fcntl(ends_[0], F_GETPIPE_SZ); }

  /// Ends the log and gives all that it wrote.
  std::vector<std::string> Lines() {
    auto end = std::async(std::launch::async, [this] {
      log_.reset();
      close(ends_[1]);
    });
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = read(ends_[0], buffer.data(), buffer.size())) > 0;) {
      text.append(buffer.data(), static_cast<size_t>(got));
    }
    end.wait();
    std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    return lines;
  }

 private:
  std::array<int, 2> ends_{};
  std::unique_ptr<Log> log_;
};

TEST(LogTest, TextLineHasTimeLevelMessageAndFields) {
  Piped piped({});
  piped.log().Write(LogLevel::kWarning, "machine {} created",
                    {{"machine", "machines/7"}, {"n", 42}});
  const auto lines = piped.Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], MatchesRegex("[0-9-]+T[0-9:]+\\.[0-9]+Z warning "
                                     "machine \\{\\} created machine=machines/7 n=42"));
}

TEST(LogTest, JsonLineIsOneObjectWithTheFieldsAsMembers) {
  Piped piped({.format = LogFormat::kJson});
  piped.log().Write(LogLevel::kError, "a \"b\"\n%v {}", {{"what", "x\ny"}, {"n", 42}});
  const auto lines = piped.Lines();
  ASSERT_THAT(lines, SizeIs(1));
  const auto line = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(line.at("level"), "error");
  EXPECT_EQ(line.at("message"), "a \"b\"\n%v {}");
  EXPECT_EQ(line.at("what"), "x\ny");
  EXPECT_EQ(line.at("n"), 42);
  EXPECT_THAT(line.at("time").get<std::string>(), EndsWith("Z"));
}

TEST(LogTest, NothingThatAClientSendsMakesASecondLineOrAnotherField) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    Piped piped({.format = format});
    piped.log().Write(LogLevel::kInfo, "refused",
                      {{"value", "x\n2026 error forged level=info\r\x1b[2J\xff"}});
    const auto lines = piped.Lines();
    ASSERT_THAT(lines, SizeIs(1));
    EXPECT_THAT(lines[0], HasSubstr("\\n2026 error forged"));
    for (const char c : lines[0]) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << lines[0];
  }
}

TEST(LogTest, LevelsBelowTheLeastAreNotWritten) {
  Piped piped({.level = LogLevel::kWarning});
  EXPECT_FALSE(piped.log().Enabled(LogLevel::kInfo));
  piped.log().Write(LogLevel::kInfo, "no");
  piped.log().Write(LogLevel::kWarning, "yes");
  EXPECT_THAT(piped.Lines(), SizeIs(1));
}

TEST(LogTest, ReaderWhoDoesNotReadHoldsNobodyUpAndWhatIsLostIsSaid) {
  constexpr uint64_t kQueue = 64;
  Piped piped({.queue_lines = kQueue});
  // More than pipe and queue hold: the writer is stuck in write(2) while this goes on.
  const std::string text(1000, 'x');
  const auto written = 4 * (static_cast<uint64_t>(piped.PipeBytes()) / text.size() + kQueue);
  for (uint64_t i = 0; i < written; ++i) piped.log().Write(LogLevel::kInfo, text);
  piped.log().Write(LogLevel::kInfo, "the newest is kept");
  const uint64_t dropped = piped.log().dropped();
  EXPECT_GT(dropped, 0u);
  const auto lines = piped.Lines();
  uint64_t said = 0;
  uint64_t reports = 0;
  for (const std::string& line : lines) {
    const size_t at = line.find("log lines were dropped lines=");
    if (at == std::string::npos) continue;
    ++reports;
    said += std::stoull(line.substr(line.rfind('=') + 1));
  }
  EXPECT_EQ(said, dropped);
  EXPECT_EQ(lines.size() - reports, written + 1 - dropped);
  EXPECT_THAT(lines.back(), HasSubstr("the newest is kept"));
}

TEST(LogTest, RequestIdsAreUnique) {
  Log log({});
  EXPECT_EQ(log.NextRequestId(), 1);
  EXPECT_EQ(log.NextRequestId(), 2);
}

}  // namespace
}  // namespace faultline::server
