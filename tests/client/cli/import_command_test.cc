// SPDX-License-Identifier: Apache-2.0
//
// `faultline import` from the outside, on the recordings of real programs. What importers make of
// text is the subject of other tests; here it matters what the command says, writes, and refuses.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "client/recording/reader.h"
#include "tests/testing/shell.h"

namespace faultline::client {
namespace {

using ::faultline::testing::Outcome;
using ::faultline::testing::Shell;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

std::string Trace(const std::string& name) { return std::string(FAULTLINE_TRACES) + "/" + name; }

class ImportCommandTest : public ::testing::Test {
 protected:
  ImportCommandTest() {
    std::string path = (std::filesystem::temp_directory_path() / "import-XXXXXX").string();
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  ~ImportCommandTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void WriteFile(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
  }
  [[nodiscard]] Outcome Import(const std::string& flags) const {
    return Shell(std::string(FAULTLINE) + " import " + flags + " --output=" + Path("out") +
                 " 2>&1");
  }
  /// That it was refused, and so nothing was written.
  void ExpectRefusal(const std::string& flags, int exit_code, const std::string& why) const {
    const Outcome run = Import(flags);
    EXPECT_EQ(run.exit_code, exit_code) << run.output;
    EXPECT_THAT(run.output, HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(Path("out")));
  }

 private:
  std::string folder_;
};

TEST_F(ImportCommandTest, WritesARecordingAndSaysWhoTookTheLock) {
  const Outcome run = Import(Trace("sort.perf.txt.gz") + " --from=perf --command='sort -n'" +
                             " --start-maps=6602:" + Trace("sort.6602.start.maps") +
                             " --end-maps=6602:" + Trace("sort.6602.end.maps"));
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("from perf, 1 process, "),
                                ContainsRegex("mmap +48 +0 +48 +0 +48 +0\n"),
                                ContainsRegex("munmap +3 +0 +3 +3 +3 +0\n")));
  const auto recording = LoadRecording(Path("out"));
  ASSERT_TRUE(recording.ok()) << recording.status();
  EXPECT_EQ(recording->source.command, "sort -n");
  EXPECT_FALSE(recording->lossy());
  EXPECT_TRUE(recording->images.back().end_known);
}

TEST_F(ImportCommandTest, JsonHasTheSameFiguresAndTheVersionOfItsShape) {
  const Outcome run = Import(Trace("sort.perf.txt.gz") + " --from=perf --json");
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const nlohmann::json json = nlohmann::json::parse(run.output);
  EXPECT_EQ(json.at("schema"), 1);
  EXPECT_EQ(json.at("tool"), "perf");
  EXPECT_EQ(json.at("bytes"), std::filesystem::file_size(Path("out")));
  EXPECT_EQ(json.at("kinds").at(0).at("kind"), "mmap");
  EXPECT_EQ(json.at("kinds").at(0).at("writes"), 48);
  EXPECT_FALSE(json.at("lossy"));
  EXPECT_EQ(json.at("marks").at(0).at("kind"), "start incomplete");
}

TEST_F(ImportCommandTest, SaysWhatStraceCannotSee) {
  const Outcome run = Import(Trace("pythreads.strace.gz") + " --from=strace");
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("from strace"), HasSubstr("no faults"),
                                HasSubstr("no mmap_lock events")));
}

TEST_F(ImportCommandTest, RefusesACutTextWithItsLineUnlessLossesAreToBeMarked) {
  WriteFile("cut", "7 1795229011.000001 brk(NULL) = 0x5000 <0.000001>\n7 1795229011.0001 br");
  ExpectRefusal(Path("cut") + " --from=strace", 3, "cut:2: ");
  const Outcome run = Import(Path("cut") + " --from=strace --mark-losses");
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_THAT(run.output, AllOf(HasSubstr("Lossy"), HasSubstr("line 2")));
}

TEST_F(ImportCommandTest, RefusesTextOfAnotherTool) {
  ExpectRefusal(Trace("sort.perf.txt.gz") + " --from=strace", 3, "sort.perf.txt.gz:");
  ExpectRefusal(Trace("pythreads.strace.gz") + " --from=perf", 3, "pythreads.strace.gz:");
}

TEST_F(ImportCommandTest, RefusesWhatDoesNotExistAndMapsOfAStranger) {
  ExpectRefusal(Path("nothing") + " --from=perf", 4, "nothing");
  ExpectRefusal(Trace("sort.perf.txt.gz") + " --from=perf --end-maps=1:" + Path("nothing"), 4,
                "nothing");
  ExpectRefusal(
      Trace("sort.perf.txt.gz") + " --from=perf --end-maps=77:" + Trace("sort.6602.end.maps"), 3,
      "77");
}

TEST_F(ImportCommandTest, RefusesWrongUsageWithFlagAndValue) {
  ExpectRefusal(Trace("sort.perf.txt.gz") + " --from=ftrace", 2, "ftrace");
  ExpectRefusal(Trace("sort.perf.txt.gz"), 2, "--from");
  ExpectRefusal(Trace("sort.perf.txt.gz") + " --from=perf --start-maps=x:y", 2, "'x:y'");
  WriteFile("text", "");
  const Outcome run = Shell(std::string(FAULTLINE) + " import " + Path("text") +
                            " --from=perf --output=" + Path("text") + " 2>&1");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.output, HasSubstr("--output is the input itself"));
}

TEST_F(ImportCommandTest, KeepsTheOldFileIfTheNewOneIsRefused) {
  WriteFile("out", "old");
  EXPECT_EQ(Import(Trace("pythreads.strace.gz") + " --from=perf").exit_code, 3);
  std::string old;
  std::ifstream(Path("out")) >> old;
  EXPECT_EQ(old, "old");
}

}  // namespace
}  // namespace faultline::client
